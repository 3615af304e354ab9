"""Queues: work that is handled at least once."""
