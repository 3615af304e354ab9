"""Agents: who is present, their state, their inboxes, and what they held when they died."""
