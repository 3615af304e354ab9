"""The servers that argentbus can bring along: a Redis and a PostgreSQL of its own."""

from .postgres import EmbeddedPostgres
from .redis import EmbeddedRedis, free_port

__all__ = ["EmbeddedPostgres", "EmbeddedRedis", "free_port"]
