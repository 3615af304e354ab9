"""Lessons."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from storage.model.command import Command
from storage.model.lessons import (
    CreateLesson,
    DecayLesson,
    DecayLessons,
    DeleteLesson,
    Lesson,
    MergeLessons,
    ReinforceLesson,
    UpdateLesson,
)
from storage.parts import Scoped
from tests.storage.histories import moment

_numbers = st.integers(0, 3)
_shares = st.floats(0, 1) | st.sampled_from([0.1, 0.5, 0.7, 0.95])
_names = st.lists(st.sampled_from(["x", "y", "z"]), max_size=3)

plans = st.one_of(
    st.tuples(st.just("create lesson"), _shares, _names),
    st.tuples(st.just("reinforce lesson"), _numbers),
    st.tuples(st.just("decay lesson"), _numbers, _shares),
    st.tuples(st.just("decay lessons"), _numbers, _shares),
    st.tuples(st.just("merge lessons"), _numbers, _numbers),
    st.tuples(st.just("update lesson"), _numbers, _names),
    st.tuples(st.just("delete lesson"), _numbers),
)


def command(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("create lesson", confidence, names):
            return CreateLesson(
                lesson=Lesson(
                    id=f"l-{n % 4}",
                    agent_id="scout",
                    type="success",
                    context="here",
                    action="try",
                    outcome="good",
                    lesson=f"lesson {n}",
                    confidence=confidence,
                    last_seen=now,
                    tags=names,
                    related_tools=names[:1],
                    created_at=now,
                    updated_at=now,
                )
            )
        case ("reinforce lesson", which):
            return ReinforceLesson(agent_id="scout", lesson_id=f"l-{which}", at=now)
        case ("decay lesson", which, amount):
            return DecayLesson(agent_id="scout", lesson_id=f"l-{which}", amount=amount, at=now)
        case ("decay lessons", ago, amount):
            return DecayLessons(agent_id="scout", amount=amount, before=moment(n - ago), at=now)
        case ("merge lessons", keeper, other) if keeper != other:
            return MergeLessons(
                agent_id="scout", keeper_id=f"l-{keeper}", other_id=f"l-{other}", at=now
            )
        case ("delete lesson" | "merge lessons", which, *_):
            return DeleteLesson(agent_id="scout", lesson_id=f"l-{which}")
        case ("update lesson", which, names):
            changes = {"related_tools": names, "confidence": 0.3}
            return UpdateLesson(agent_id="scout", lesson_id=f"l-{which}", changes=changes, at=now)
    return None


async def reads(view: Scoped) -> list[Any]:
    hits = await view.memory.search_lessons("lesson 3")
    by_tool = await view.memory.lessons_by_tool("x")
    return [{hit.lesson.id for hit in hits}, by_tool, await view.memory.list_lessons()]
