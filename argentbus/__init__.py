"""The composition root: the command line, the supervisor behind `up`, the embedded servers."""

__version__ = "0.1.0"
