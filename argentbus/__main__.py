"""`python -m argentbus`."""

from .cli import main

main()
