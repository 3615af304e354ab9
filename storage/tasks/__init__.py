"""Tasks: the work that agents do, and hand to each other."""

from .projects import Project
from .tasks import TaskViews

__all__ = ["Project", "Tasks"]


class Tasks(TaskViews):
    """What one agent may do with tasks.

    An agent sees and changes the tasks that it made, those assigned to it, those of its teams, and
    those of nobody.
    """
