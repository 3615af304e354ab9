"""Secrets: keys of services and credentials, encrypted where they are used, every use put down."""

from .keyring import Keyring
from .rotation import Rotated
from .secret import Secret
from .secrets import Secrets

__all__ = ["Keyring", "Rotated", "Secret", "Secrets"]
