"""Model feedback, which is its agent's own. Each model is named as its row is."""

from storage.adapter import DatabaseAdapter
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import Read, Shown, each, seen

ALL = ("of-a", "of-a-too")
SEEN = seen(a={*ALL})


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    for one in ALL:
        await storage.scoped("a").feedback.record(
            provider="p", model=one, tier="fast", session_type="chat", feedback_id=one
        )


async def _listed(view: Scoped) -> list[str]:
    return [one.id for one in await view.feedback.list_feedback()]


async def _judged(view: Scoped) -> list[str | None]:
    return [one.model for one in await view.feedback.statistics(by=["model"])]


READS = {
    ("feedback", "get_feedback"): Read(lambda view: each(view.feedback.get_feedback, ALL), SEEN),
    ("feedback", "list_feedback"): Read(_listed, SEEN),
    ("feedback", "statistics"): Read(_judged, SEEN),
}

SQL = {"model_feedback": Shown("SELECT id FROM model_feedback", SEEN)}
