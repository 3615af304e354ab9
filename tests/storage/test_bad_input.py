"""Bad input, kind by kind: on both databases the same error, which names the field, and nothing
written. What single columns refuse besides is in `test_values` and `test_part_values`.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from storage import CommandRefused, InvalidValue, NotFound
from storage.adapter import DatabaseAdapter
from storage.model.items import EmbedItem
from storage.model.values import now
from storage.parts import Scoped
from tests.postgres import PostgresServer, empty
from tests.storage.backends import Raw, opened

pytestmark = pytest.mark.anyio

Call = Callable[[Scoped], Awaitable[Any]]


class Both(NamedTuple):
    """The two databases, with the same rows."""

    storages: list[DatabaseAdapter]
    raws: list[Raw]


@pytest.fixture
def emptied(postgres_server: PostgresServer, kept_database: str) -> str:
    """The PostgreSQL database, without rows."""
    anyio.run(empty, postgres_server.url(kept_database))
    return kept_database


@pytest.fixture
async def both(path: Path, postgres_server: PostgresServer, emptied: str) -> AsyncIterator[Both]:
    """Both databases, with a row of each kind."""
    async with AsyncExitStack() as stack:
        sides = [
            await stack.enter_async_context(opened(backend, path, postgres_server, emptied))
            for backend in ("sqlite", "postgres")
        ]
        for storage, _ in sides:
            await fill(storage.scoped("a"))
        yield Both([storage for storage, _ in sides], [raw for _, raw in sides])


async def fill(a: Scoped) -> None:
    await a.memory.create_item(summary="x", memory_type="event", item_id="item")
    await a.memory.create_item(summary="other", memory_type="event", item_id="other")
    await a.memory.create_resource("http://x", resource_id="resource")
    await a.memory.create_category("x", category_id="category")
    await a.memory.create_entity("x", entity_id="entity")
    await a.memory.create_reflection(trigger_type="manual", content="x", reflection_id="reflection")
    await lesson(a, lesson_id="lesson")
    await candidate(a, candidate_id="candidate")
    await feedback(a, feedback_id="feedback")
    await a.sessions.open("key", session_id="session")
    await a.tasks.create_task(title="x", task_id="task")
    await a.teams.create_team(name="x", team_id="team")
    await a.knowledge.create_collection("x", collection_id="collection")
    await publish(a, knowledge_id="shared")


def lesson(view: Scoped, **columns: Any) -> Awaitable[Any]:
    given: dict[str, Any] = {
        "type": "success", "context": "x", "action": "x", "outcome": "x", "lesson": "x",
    }  # fmt: skip
    return view.memory.create_lesson(**given | columns)


def candidate(view: Scoped, **columns: Any) -> Awaitable[Any]:
    given: dict[str, Any] = {
        "fact_text": "x", "role": "user", "candidate_type": "x", "confidence": 0.5,
    }  # fmt: skip
    return view.memory.create_candidate(**given | columns)


def feedback(view: Scoped, **columns: Any) -> Awaitable[Any]:
    given: dict[str, Any] = {"provider": "x", "model": "x", "tier": "x", "session_type": "x"}
    return view.feedback.record(**given | columns)


def publish(view: Scoped, **columns: Any) -> Awaitable[Any]:
    given: dict[str, Any] = {"title": "x", "content": "x", "category": "fact"}
    return view.knowledge.publish(**given | columns)


def item(view: Scoped, **columns: Any) -> Awaitable[Any]:
    return view.memory.create_item(**{"summary": "y", "memory_type": "event"} | columns)


def observe(view: Scoped, **columns: Any) -> Awaitable[Any]:
    return view.sessions.record("session", **columns)


def task(view: Scoped, **columns: Any) -> Awaitable[Any]:
    return view.tasks.create_task(**{"title": "y"} | columns)


#: Whatever takes a vector, by the field that is named.
OF_VECTORS: list[Callable[[Scoped, Any], Awaitable[Any]]] = [
    lambda v, bad: item(v, embedding=bad),
    lambda v, bad: v.memory.update_item("item", embedding=bad),
    lambda v, bad: v.memory.embed_item("item", bad),
    lambda v, bad: v.memory.search("x", embedding=bad),
    lambda v, bad: v.memory.create_resource("y", embedding=bad),
    lambda v, bad: v.memory.create_category("y", embedding=bad),
    lambda v, bad: v.memory.update_category("category", embedding=bad),
    lambda v, bad: v.memory.create_entity("y", embedding=bad),
    lambda v, bad: v.memory.update_entity("entity", embedding=bad),
    lambda v, bad: lesson(v, embedding=bad),
    lambda v, bad: v.memory.search_lessons("x", embedding=bad),
    lambda v, bad: v.memory.promote_candidate("candidate", embedding=bad),
    lambda v, bad: publish(v, embedding=bad),
    lambda v, bad: v.knowledge.search_shared("x", embedding=bad),
    lambda v, bad: v.knowledge.search("x", embedding=bad),
]

#: Whatever takes text at length, with the field that is named.
OF_TEXTS: list[tuple[str, Callable[[Scoped, Any], Awaitable[Any]]]] = [
    ("summary", lambda v, bad: item(v, summary=bad)),
    ("summary", lambda v, bad: v.memory.update_item("item", summary=bad)),
    ("reflection", lambda v, bad: item(v, reflection=bad)),
    ("lesson", lambda v, bad: item(v, lesson=bad)),
    ("extra", lambda v, bad: item(v, extra={"a": [bad]})),
    ("query", lambda v, bad: v.memory.search(bad)),
    ("caption", lambda v, bad: v.memory.create_resource("y", caption=bad)),
    ("description", lambda v, bad: v.memory.create_category("y", description=bad)),
    ("name", lambda v, bad: v.memory.create_entity(bad)),
    ("profile_summary", lambda v, bad: v.memory.create_entity("y", profile_summary=bad)),
    (
        "content",
        lambda v, bad: v.memory.create_reflection(trigger_type="manual", content=bad),
    ),
    ("outcome", lambda v, bad: lesson(v, outcome=bad)),
    ("fact_text", lambda v, bad: candidate(v, fact_text=bad)),
    ("self_eval_reasoning", lambda v, bad: feedback(v, self_eval_reasoning=bad)),
    ("session_key", lambda v, bad: v.sessions.open(bad)),
    ("output", lambda v, bad: observe(v, output=bad)),
    ("title", lambda v, bad: task(v, title=bad)),
    ("description", lambda v, bad: v.tasks.update_task("task", description=bad)),
    ("name", lambda v, bad: v.teams.create_team(name=bad)),
    ("title", lambda v, bad: publish(v, title=bad)),
    ("content", lambda v, bad: publish(v, content=bad)),
    ("collection_name", lambda v, bad: v.knowledge.create_collection(bad)),
    ("name", lambda v, bad: v.agents.register(name=bad)),
]

#: Whatever takes a time.
OF_TIMES: list[tuple[str, Callable[[Scoped, Any], Awaitable[Any]]]] = [
    ("happened_at", lambda v, bad: item(v, happened_at=bad)),
    ("happened_at", lambda v, bad: v.memory.update_item("item", happened_at=bad)),
    ("created_at", lambda v, bad: item(v, created_at=bad)),
    ("created_at", lambda v, bad: v.memory.create_resource("y", created_at=bad)),
    (
        "period_end",
        lambda v, bad: v.memory.create_reflection(
            trigger_type="manual", content="x", period_end=bad
        ),
    ),
    ("since", lambda v, bad: v.memory.list_lessons(since=bad)),
    ("until", lambda v, bad: v.memory.list_reflections(until=bad)),
    ("expires_at", lambda v, bad: candidate(v, expires_at=bad)),
    ("due_at", lambda v, bad: task(v, due_at=bad)),
    ("due_at", lambda v, bad: v.tasks.update_task("task", due_at=bad)),
    ("started_at", lambda v, bad: v.sessions.open("y", started_at=bad)),
    ("created_at", lambda v, bad: observe(v, created_at=bad)),
    ("before", lambda v, bad: v.memory.decay_lessons(before=bad, amount=0.1)),
]

NAIVE = datetime(2026, 1, 2)  # noqa: DTZ001 (what is to be refused)

#: Numbers out of the range of their field, or of any.
OF_NUMBERS: list[tuple[str, Call]] = [
    *(("emotional_valence", lambda v, n=n: item(v, emotional_valence=n)) for n in (2.1, -3, 1e308)),
    *(("emotional_valence", lambda v, n=n: item(v, emotional_valence=n)) for n in (math.nan,)),
    ("emotional_arousal", lambda v: item(v, emotional_arousal=math.inf)),
    ("emotional_arousal", lambda v: v.memory.update_item("item", emotional_arousal=-0.1)),
    ("extra", lambda v: item(v, extra={"a": 2**63})),
    ("extra", lambda v: item(v, extra={"a": -math.inf})),
    ("bond_strength", lambda v: v.memory.create_entity("y", bond_strength=1.01)),
    ("confidence", lambda v: lesson(v, confidence=10**400)),
    ("occurrences", lambda v: lesson(v, occurrences=0)),
    ("confidence", lambda v: candidate(v, confidence=-1)),
    ("duration_ms", lambda v: feedback(v, duration_ms=2**63)),
    ("complexity_score", lambda v: feedback(v, complexity_score=math.nan)),
    ("score", lambda v: v.feedback.evaluate("feedback", math.inf)),
    ("importance", lambda v: observe(v, importance=2**63)),
    ("confidence", lambda v: publish(v, confidence=2)),
    ("amount", lambda v: v.memory.decay_lesson("lesson", 2)),
    ("limit", lambda v: v.memory.list_items(limit=2**64)),
    ("offset", lambda v: v.tasks.list_tasks(offset=2**64)),
    ("limit", lambda v: v.memory.search("x", limit=1.5)),  # type: ignore[arg-type]
]

#: Words that a field does not know.
OF_WORDS: list[tuple[str, Call]] = [
    ("memory_type", lambda v: item(v, memory_type="rumour")),
    ("memory_type", lambda v: v.memory.update_item("item", memory_type="rumour")),
    ("significance", lambda v: item(v, significance="CORE")),
    ("visibility", lambda v: item(v, visibility="everybody")),
    ("rank", lambda v: v.memory.search("x", rank="best")),
    ("modality", lambda v: v.memory.create_resource("y", modality="smell")),
    ("entity_type", lambda v: v.memory.create_entity("y", entity_type="ghost")),
    (
        "trigger_type",
        lambda v: v.memory.create_reflection(trigger_type="whim", content="x"),
    ),
    ("type", lambda v: lesson(v, type="rumour")),
    ("type", lambda v: v.memory.list_lessons(type="rumour")),
    ("memory_type_hint", lambda v: candidate(v, memory_type_hint="rumour")),
    ("memory_type", lambda v: v.memory.promote_candidate("candidate", memory_type="rumour")),
    ("rating", lambda v: v.feedback.rate("feedback", "sideways")),
    ("type", lambda v: observe(v, type="rumour")),
    ("priority", lambda v: task(v, priority="now")),
    ("source", lambda v: task(v, source="nowhere")),
    ("status", lambda v: v.tasks.list_tasks(status="done")),
    ("status", lambda v: v.teams.update_team("team", status="gone")),
    ("category", lambda v: publish(v, category="rumour")),
]

#: What a row belongs to, and is not there; and of which kind the error is.
OF_PARENTS: list[tuple[type[Exception], str, Call]] = [
    (CommandRefused, "resource_id: there is no resource 'gone': create it first",
     lambda v: item(v, resource_id="gone")),
    (CommandRefused, "agent a has no category gone",
     lambda v: v.memory.link_category("item", "gone")),
    (CommandRefused, "agent a has no memory item gone",
     lambda v: v.memory.link_category("gone", "category")),
    (CommandRefused, "agent a has no entity gone",
     lambda v: v.memory.link_entity("item", "gone")),
    (CommandRefused, "agent a has no memory item gone",
     lambda v: v.memory.link_entity("gone", "entity")),
    (CommandRefused, "agent a has no memory item gone",
     lambda v: v.memory.merge_candidate("candidate", "gone")),
    (CommandRefused, "session_id: agent a has no session gone",
     lambda v: v.sessions.record("gone")),
    (CommandRefused, "there is no team gone that a leads",
     lambda v: v.teams.add_member("gone", "b")),
    (NotFound, "there is no collection gone .*: its owners let agents in with `grant`",
     lambda v: v.knowledge.grant("gone", "b")),
    (NotFound, "there is no collection gone .*: its owners let agents in with `grant`",
     lambda v: v.knowledge.ingest("gone", "source", "text")),
    (CommandRefused, "there is no shared knowledge gone",
     lambda v: v.knowledge.endorse("gone")),
    (CommandRefused, "agent a has no model feedback gone",
     lambda v: v.feedback.rate("gone", "up")),
]  # fmt: skip

#: Rows with the id of another one, and another content.
OF_IDS: list[tuple[str, Call]] = [
    ("memory item item", lambda v: item(v, item_id="item")),
    ("resource resource", lambda v: v.memory.create_resource("y", resource_id="resource")),
    ("category category", lambda v: v.memory.create_category("y", category_id="category")),
    ("entity entity", lambda v: v.memory.create_entity("y", entity_id="entity")),
    (
        "reflection reflection",
        lambda v: v.memory.create_reflection(
            trigger_type="manual", content="y", reflection_id="reflection"
        ),
    ),
    ("lesson lesson", lambda v: lesson(v, lesson="y", lesson_id="lesson")),
    ("live candidate candidate",
     lambda v: candidate(v, fact_text="y", candidate_id="candidate")),
    ("model feedback feedback", lambda v: feedback(v, model="y", feedback_id="feedback")),
    ("session session", lambda v: v.sessions.open("another", session_id="session")),
    ("task task", lambda v: task(v, task_id="task")),
    ("team team", lambda v: v.teams.create_team(name="y", team_id="team")),
    ("collection collection",
     lambda v: v.knowledge.create_collection("y", collection_id="collection")),
    ("shared knowledge shared", lambda v: publish(v, content="y", knowledge_id="shared")),
]  # fmt: skip


async def refused(both: Both, call: Call, kind: type[Exception], problem: str, who: str) -> None:
    """See that both refuse in the same words."""
    said = []
    for storage in both.storages:
        with pytest.raises(kind, match=problem) as caught:
            await call(storage.scoped(who))
        assert type(caught.value) is kind
        said.append(str(caught.value))
    assert said[0] == said[1]


async def all_refused(
    both: Both, cases: Iterator[tuple[type[Exception], str, Call]], who: str = "a"
) -> None:
    before = [await raw.everything() for raw in both.raws]
    count = 0
    for kind, problem, call in cases:
        await refused(both, call, kind, problem, who)
        count += 1
    assert count
    assert [await raw.everything() for raw in both.raws] == before, "something was written"


def of(
    field: str, problem: str, calls: list[tuple[str, Call]] | None = None
) -> tuple[type[Exception], str]:
    return InvalidValue, f"^{field}(, a key|\\[0\\])?: {problem}"


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ([1.0, 2.0], "has 2 dimensions, and this storage keeps 3: use the model"),
        ([], "has 0 dimensions, and this storage keeps 3"),
        ([1.0] * 768, "has 768 dimensions, and this storage keeps 3"),
        ([math.nan, 0, 0], "has a NaN or an infinity: leave the embedding out"),
        ([0, 0, -math.inf], "has a NaN or an infinity: leave the embedding out"),
        ([1e39, 0, 0], "has a number that is too large for a float32"),
        (["a", "b", "c"], "must be a list of numbers"),
        ("abc", "is a str, and must be a list of numbers"),
    ],
)
async def test_a_vector_that_is_none(both: Both, bad: Any, problem: str) -> None:
    def cases() -> Iterator[tuple[type[Exception], str, Call]]:
        for call in OF_VECTORS:
            yield (*of("embedding", problem), lambda v, call=call: call(v, bad))

    await all_refused(both, cases())


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("x" * 10_000_000, "has 10,[0-9]{3},[0-9]{3} characters, and must have"),
        ("a\0b", "has a NUL character, which PostgreSQL cannot hold: remove it"),
        ("a\ud800b", "has half of a surrogate pair: decode the text with errors='replace'"),
        ("a\udfffb", "has half of a surrogate pair"),
    ],
    ids=["10 MB", "NUL", "high surrogate", "low surrogate"],
)
async def test_a_text_that_cannot_be_stored(both: Both, bad: str, problem: str) -> None:
    def cases() -> Iterator[tuple[type[Exception], str, Call]]:
        for field, call in OF_TEXTS:
            yield (*of(field, problem), lambda v, call=call: call(v, bad))

    await all_refused(both, cases())


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (NAIVE, "must be a datetime with a time zone, such as datetime.now\\(UTC\\)"),
        ("2026-01-02T00:00:00Z", "(must be a datetime with a time zone|.*Expected `datetime)"),
        (datetime(1, 1, 1, tzinfo=UTC), "must lie between the years 1 and 9999"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), "must lie between the years"),
        (datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))), "must lie between"),
    ],
)
async def test_a_date_out_of_range(both: Both, bad: Any, problem: str) -> None:
    def cases() -> Iterator[tuple[type[Exception], str, Call]]:
        for field, call in OF_TIMES:
            yield (*of(field, problem), lambda v, call=call: call(v, bad))

    await all_refused(both, cases())


async def test_a_number_out_of_range(both: Both) -> None:
    cases = ((*of(field, ".*(must be|has a NaN)"), call) for field, call in OF_NUMBERS)
    await all_refused(both, iter(cases))


async def test_a_word_that_the_field_does_not_know(both: Both) -> None:
    cases = (
        (*of(field, "is '.*', and must be [a-z_]+, [a-z_]+"), call) for field, call in OF_WORDS
    )
    await all_refused(both, iter(cases))


async def test_a_parent_that_is_not_there(both: Both) -> None:
    await all_refused(both, iter(OF_PARENTS))


@pytest.mark.parametrize("who", ["a", "b"])
async def test_an_id_that_another_row_has(both: Both, who: str) -> None:
    cases = (
        (CommandRefused, f"id: there is another {row} already: give a new id, or none", call)
        for row, call in OF_IDS
    )
    await all_refused(both, iter(cases), who)


async def test_a_name_or_a_fact_that_another_row_has(both: Both) -> None:
    cases: list[tuple[type[Exception], str, Call]] = [
        (CommandRefused, "name: there is another category 'x' .*: find it",
         lambda v: v.memory.create_category("x")),
        (CommandRefused, "name: there is another entity 'x' .*: find it",
         lambda v: v.memory.create_entity("x")),
        (CommandRefused, "collection_tag: x is taken by another collection: give another name",
         lambda v: v.knowledge.create_collection("x")),
        (CommandRefused, "summary: agent a has another memory item that says so: reinforce",
         lambda v: v.memory.update_item("other", summary=" X ")),
    ]  # fmt: skip
    await all_refused(both, iter(cases))
    await refused(
        both,
        lambda v: v.sessions.open("key"),
        CommandRefused,
        "session_key: key is another agent's session: give another key",
        "b",
    )


@pytest.mark.parametrize(
    ("packed", "problem"),
    [
        (b"\0" * 8, "embedding: has 2 dimensions, and this storage keeps 3"),
        (b"\0" * 13, "embedding: has 3.25 dimensions"),
        (b"\xff" * 12, "embedding: has a NaN or an infinity"),
    ],
)
async def test_a_command_from_the_log_is_refused_alike(
    both: Both, packed: bytes, problem: str
) -> None:
    said = []
    for storage in both.storages:
        command = EmbedItem(agent_id="a", item_id="item", embedding=packed, at=now())
        with pytest.raises(CommandRefused, match=problem) as caught:
            await storage.apply([command])
        said.append((str(caught.value), caught.value.refused))
    assert said[0] == said[1]
