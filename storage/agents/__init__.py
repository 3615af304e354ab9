"""The registry of agents."""

from .agents import Agents

__all__ = ["Agents"]
