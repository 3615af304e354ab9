"""Calls that take something, for each kind of bad input; and the rows that they are about."""

import math
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from storage import CommandRefused, NotFound
from storage.parts import Scoped

Call = Callable[[Scoped], Awaitable[Any]]


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
