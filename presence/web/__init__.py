"""The live page: a Starlette application over a board that keeps what it shows."""

from .app import create_app
from .board import Board

__all__ = ["Board", "create_app"]
