"""Values that no table of memory, feedback or sessions may hold: each is refused by name."""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from storage import Candidate, Feedback, InvalidValue, Lesson, Observation, Reflection, Session
from storage.adapter import DatabaseAdapter
from storage.commands import Command
from storage.model.candidates import (
    CreateCandidate,
    DiscardCandidate,
    MergeCandidate,
    PromoteCandidate,
)
from storage.model.feedback import EvaluateFeedback, RateFeedback, RecordFeedback
from storage.model.lessons import (
    CreateLesson,
    DecayLessons,
    DeleteLesson,
    MergeLessons,
    ReinforceLesson,
    UpdateLesson,
)
from storage.model.observations import RecordObservations
from storage.model.reflections import CreateReflection
from storage.model.sessions import CloseSession, DeleteSession, OpenSession, TouchSession
from tests.storage.backends import Raw
from tests.storage.test_values import BEHIND_THE_END, NAIVE
from tests.storage.wrong import (
    COUNTS,
    IDS,
    LISTS,
    NO_TEXT,
    NO_TIME,
    OBJECTS,
    SCORES,
    SHARES,
    TEXTS,
    TIMES,
    VECTORS,
)

pytestmark = [pytest.mark.anyio, pytest.mark.kept_database]

NOW = datetime(2026, 1, 2, tzinfo=UTC)
REFLECTION = Reflection(
    id="x", agent_id="scout", trigger_type="manual", content="x", created_at=NOW
)
LESSON = Lesson(
    id="x", agent_id="scout", type="success", context="x", action="x", outcome="x", lesson="x",
    last_seen=NOW, created_at=NOW, updated_at=NOW,
)  # fmt: skip
CANDIDATE = Candidate(
    id="x", agent_id="scout", role="user", candidate_type="x", fact_text="x", confidence=0.5,
    source_ts=NOW, expires_at=NOW, created_at=NOW, updated_at=NOW,
)  # fmt: skip
FEEDBACK = Feedback(
    id="x", agent_id="scout", provider="x", model="x", tier="x", session_type="x", created_at=NOW
)
SESSION = Session(id="x", agent_id="scout", session_key="x", started_at=NOW, last_activity_at=NOW)
OBSERVATION = Observation(id=1, session_id="x", agent_id="scout", created_at=NOW)

#: Of each kind of row: the command that writes it, and what is wrong with which fields.
ROWS: dict[str, tuple[Any, Any, list[tuple[str, list[tuple[Any, str]]]]]] = {
    "reflections": (
        REFLECTION,
        lambda row: CreateReflection(reflection=row),
        [
            ("id", IDS),
            ("agent_id", IDS),
            ("trigger_type", [("whim", "must be heartbeat"), (None, "is None")]),
            ("period_start", TIMES),
            ("period_end", TIMES),
            ("content", [*NO_TEXT, ("", "0 characters")]),
            ("lessons_extracted", LISTS),
            ("entities_involved", LISTS),
            ("self_insights", LISTS),
            ("mood", TEXTS),
            ("created_at", NO_TIME),
        ],
    ),
    "lessons": (
        LESSON,
        lambda row: CreateLesson(lesson=row),
        [
            ("id", IDS),
            ("agent_id", IDS),
            ("type", [("rumour", "must be mistake"), (None, "is None")]),
            ("context", NO_TEXT),
            ("action", NO_TEXT),
            ("outcome", NO_TEXT),
            ("lesson", [*NO_TEXT, ("", "0 characters")]),
            ("correction", TEXTS),
            ("confidence", [*SHARES, (None, "is a NoneType")]),
            ("occurrences", [(0, "from 1"), (2**64, "from 1"), *COUNTS[2:]]),
            ("last_seen", NO_TIME),
            ("tags", LISTS),
            ("related_tools", LISTS),
            ("source_episode_ids", LISTS),
            ("embedding", VECTORS),
            ("visibility", [("secret", "must be private")]),
            ("created_at", NO_TIME),
            ("updated_at", NO_TIME),
        ],
    ),
    "live_candidates": (
        CANDIDATE,
        lambda row: CreateCandidate(candidate=row),
        [
            ("id", IDS),
            ("agent_id", IDS),
            ("session_key", TEXTS),
            ("message_id", TEXTS),
            ("role", [*NO_TEXT, ("", "0 characters")]),
            ("candidate_type", [*NO_TEXT, ("", "0 characters")]),
            ("fact_text", [*NO_TEXT, ("", "0 characters")]),
            ("confidence", SHARES),
            ("trigger_flags", LISTS),
            ("entities", LISTS),
            ("memory_type_hint", [("rumour", "must be profile")]),
            ("significance_hint", [("CORE", "must be routine")]),
            ("source_ts", NO_TIME),
            ("expires_at", NO_TIME),
            ("status", [("lost", "must be pending")]),
            ("promoted_item_id", TEXTS),
            ("promotion_reason", TEXTS),
            ("created_at", NO_TIME),
            ("updated_at", NO_TIME),
        ],
    ),
    "model_feedback": (
        FEEDBACK,
        lambda row: RecordFeedback(feedback=row),
        [
            ("id", IDS),
            ("agent_id", IDS),
            ("provider", NO_TEXT),
            ("model", NO_TEXT),
            ("tier", NO_TEXT),
            ("session_type", NO_TEXT),
            ("complexity_score", SCORES),
            ("duration_ms", COUNTS),
            ("success", [(1, "must be true or false"), (None, "must be true or false")]),
            ("error_type", TEXTS),
            ("input_tokens", COUNTS),
            ("output_tokens", COUNTS),
            ("total_tokens", COUNTS),
            ("tool_call_count", COUNTS),
            ("user_feedback", [("great", "must be up, down")]),
            ("session_key", TEXTS),
            ("profile", TEXTS),
            ("self_eval_score", SCORES),
            ("self_eval_reasoning", TEXTS),
            ("created_at", NO_TIME),
        ],
    ),
    "sessions": (
        SESSION,
        lambda row: OpenSession(session=row),
        [
            ("id", IDS),
            ("agent_id", IDS),
            ("session_key", [*NO_TEXT, ("", "0 characters"), ("x" * 257, "257")]),
            ("channel_id", TEXTS),
            ("status", [("", "0 characters"), *NO_TEXT]),
            ("project_path", TEXTS),
            ("started_at", NO_TIME),
            ("last_activity_at", NO_TIME),
            ("ended_at", TIMES),
            ("message_count", COUNTS),
            ("token_count", COUNTS[:3]),
            ("summary", TEXTS),
            ("metadata", OBJECTS),
        ],
    ),
    "observations": (
        OBSERVATION,
        lambda row: RecordObservations(agent_id="scout", observations=[row]),
        [
            ("id", [*COUNTS, (2**63, "must be from 0")]),
            ("session_id", IDS),
            ("type", [("dream", "must be session_start")]),
            ("tool_name", TEXTS),
            ("input", TEXTS),
            ("output", TEXTS),
            ("summary", TEXTS),
            ("channel_id", TEXTS),
            ("importance", [(11, "must be from 0 to 10"), *COUNTS]),
            ("metadata", OBJECTS),
            ("created_at", NO_TIME),
        ],
    ),
}


async def refused(storage: DatabaseAdapter, command: Command, field: str, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem) as caught:
        await storage.write(command)
    assert caught.value.field.startswith(field), (field, str(caught.value))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("table", ROWS)
async def test_a_row_with_a_wrong_value_is_refused(
    storage: DatabaseAdapter, raw: Raw, table: str
) -> None:
    row, command, fields = ROWS[table]
    # What is computed, and what has to be the command's.
    others = {"live_candidates": {"fact_hash"}, "observations": {"agent_id"}}.get(table, set())
    assert {field for field, _ in fields} | others == {*type(row).__struct_fields__}, (
        "a field that is not tried"
    )
    for field, wrongs in fields:
        for wrong, problem in wrongs:
            changed = msgspec.structs.replace(row, **{field: wrong})
            await refused(storage, command(changed), field, problem)
    assert not any((await raw.everything()).values())
    if table == "observations":
        await storage.write(OpenSession(session=SESSION))
    await storage.write(command(row))
    assert len((await raw.everything())[table]) == 1, "what is right is written"


COMMANDS: list[tuple[Command, str, str]] = [
    (ReinforceLesson(agent_id="scout", lesson_id="\0", at=NOW), "lesson_id", "NUL"),
    (ReinforceLesson(agent_id="", lesson_id="x", at=NOW), "agent_id", "0 characters"),
    (ReinforceLesson(agent_id="scout", lesson_id="x", at=NAIVE), "at", "time zone"),
    (DeleteLesson(agent_id="scout", lesson_id=""), "lesson_id", "0 characters"),
    (
        MergeLessons(agent_id="scout", keeper_id="x", other_id="\0", at=NOW),
        *("other_id", "NUL"),
    ),
    (
        DecayLessons(agent_id="scout", amount=0.1, before=BEHIND_THE_END, at=NOW),
        *("before", "between the years"),
    ),
    (
        UpdateLesson(agent_id="scout", lesson_id="x", changes={"last_seen": NOW}, at=NOW),
        *("last_seen", "cannot be changed"),
    ),
    (
        UpdateLesson(agent_id="scout", lesson_id="x", changes={"tags": "abc"}, at=NOW),
        *("tags", "wrong type"),
    ),
    (
        PromoteCandidate(
            agent_id="scout", candidate_id="x", item_id="x", memory_type="rumour", at=NOW
        ),
        *("memory_type", "must be profile"),
    ),
    (
        PromoteCandidate(
            agent_id="scout", candidate_id="x", item_id="x", embedding=b"\0" * 8, at=NOW
        ),
        *("embedding", "2 dimensions"),
    ),
    (
        MergeCandidate(agent_id="scout", candidate_id="x", item_id="\ud800", at=NOW),
        *("item_id", "surrogate"),
    ),
    (
        DiscardCandidate(agent_id="scout", candidate_id="x", reason="x" * 10_001, at=NOW),
        *("reason", "10,001"),
    ),
    (RateFeedback(agent_id="scout", feedback_id="x", rating="UP"), "rating", "must be up"),
    (EvaluateFeedback(agent_id="scout", feedback_id="x", score=math.nan), "score", "from 0"),
    (
        TouchSession(agent_id="scout", session_id="x", messages=-1, at=NOW),
        *("messages", "from 0"),
    ),
    (
        TouchSession(agent_id="scout", session_id="x", tokens=2**40, at=NOW),
        *("tokens", "from 0"),
    ),
    (CloseSession(agent_id="scout", session_id="x", summary="\0", at=NOW), "summary", "NUL"),
    (DeleteSession(agent_id="scout", session_id="x" * 129), "session_id", "129"),
]


async def test_a_command_with_a_wrong_value_is_refused(storage: DatabaseAdapter) -> None:
    for command, field, problem in COMMANDS:
        await refused(storage, command, field, problem)
