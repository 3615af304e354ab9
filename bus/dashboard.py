"""What happens, for people to watch: the topic that agents and the sidecar announce events on."""

from typing import Final

import msgspec

#: Name of the topic.
DASHBOARD: Final = "dashboard"


class DashboardEvent(msgspec.Struct, frozen=True):
    """One event.

    Attributes:
        kind: `task_update`, `mood_change`, `agent_status`, `memory_stored`, `alert`, or your own.
        agent: Whom it is about.
        detail: In words.
        at: Seconds since the epoch.
    """

    kind: str
    agent: str
    detail: str
    at: float
