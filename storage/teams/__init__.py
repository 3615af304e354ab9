"""Teams: agents that share what they have for their team, and its tasks."""

from .teams import TeamRecord, Teams

__all__ = ["TeamRecord", "Teams"]
