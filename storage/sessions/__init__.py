"""Sessions: the conversations that agents have, and what happened in them."""

from .observations import Observations
from .sessions import SessionLives

__all__ = ["Sessions"]


class Sessions(SessionLives, Observations):
    """What one agent may do with its sessions and observations."""
