"""Tasks: the work that agents do, and hand to each other."""

from .tasks import Tasks

__all__ = ["Tasks"]
