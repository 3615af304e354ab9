"""What happens, for people to watch: the topic that agents and the sidecar announce events on."""

from typing import Final

import msgspec

#: Name of the topic.
#: Example: See `DashboardEvent`.
DASHBOARD: Final = "dashboard"


class DashboardEvent(msgspec.Struct, frozen=True):
    """One event.

    Attributes:
        kind: `task_update`, `mood_change`, `agent_status`, `memory_stored`, `alert`, or your own.
        agent: Whom it is about.
        detail: In words.
        at: Seconds since the epoch.

    Example:
        news = agent.topic(DASHBOARD, DashboardEvent)
        async with news.subscribe() as feed:
            await news.publish(DashboardEvent("alert", "scout", "the test is flaky", time.time()))
            print((await anext(feed)).body.detail)  #> the test is flaky
    """

    kind: str
    agent: str
    detail: str
    at: float
