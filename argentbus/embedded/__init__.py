"""The servers that argentbus can bring along: a Redis of its own."""

from .redis import EmbeddedRedis, free_port

__all__ = ["EmbeddedRedis", "free_port"]
