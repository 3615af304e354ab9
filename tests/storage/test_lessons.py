"""Lessons: written, reinforced, decayed, merged, found."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage import CommandRefused, InvalidValue, Lesson
from storage.adapter import DatabaseAdapter
from storage.memory import Memory
from storage.model.lessons import DecayLesson, DecayLessons, ReinforceLesson
from tests.storage.backends import Raw

pytestmark = [pytest.mark.anyio, pytest.mark.kept_database]

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def learn(memory: Memory, lesson_id: str, **columns: Any) -> Lesson:
    given = {
        "type": "mistake",
        "context": "deploying",
        "action": "pushed on Friday",
        "outcome": "pager",
        "lesson": f"wait, {lesson_id}",
        "created_at": START,
    }
    return await memory.create_lesson(**(given | columns), lesson_id=lesson_id)


async def read(memory: Memory, lesson_id: str) -> Lesson:
    lesson = await memory.get_lesson(lesson_id)
    assert lesson is not None
    return lesson


async def test_a_lesson_comes_back_as_it_was_written(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    written = await learn(
        memory,
        "l-1",
        type="best_practice",
        correction="größer 🧀",
        confidence=0.479080819291994,
        occurrences=7,
        last_seen=START - HOUR,
        tags=["b", "a"],
        related_tools=["bash"],
        source_episode_ids=["e-1"],
        embedding=[1, 0.5, -2],
        visibility="team",
    )
    assert await memory.get_lesson("l-1") == written
    assert written.vector == [1, 0.5, -2]
    assert (written.created_at, written.updated_at) == (START, START)
    plain = await learn(memory, "l-2")
    assert (plain.confidence, plain.occurrences, plain.last_seen) == (0.5, 1, START)
    assert await learn(memory, "l-2") == plain, "the same again is no news"
    for agent, columns in (("writer", {}), ("scout", {"created_at": START + HOUR})):
        with pytest.raises(CommandRefused, match="another lesson l-2 already"):
            await learn(storage.scoped(agent).memory, "l-2", **columns)
    assert await storage.operator().memory.get_lesson("l-2") == plain


async def test_reinforcing_counts_and_makes_surer_up_to_1(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    await learn(memory, "l-1")
    sure = []
    for n in range(1, 7):
        at = START + n * HOUR
        await storage.apply([ReinforceLesson(agent_id="scout", lesson_id="l-1", at=at)])
        lesson = await read(memory, "l-1")
        assert (lesson.occurrences, lesson.last_seen, lesson.updated_at) == (n + 1, at, at)
        sure.append(lesson.confidence)
    assert sure == [0.6, 0.7, 0.8, 0.9, 1.0, 1.0]
    await storage.apply([ReinforceLesson(agent_id="scout", lesson_id="l-1", at=START)])
    assert (await read(memory, "l-1")).last_seen == START + 6 * HOUR, "it does not go back"
    await learn(memory, "odd", confidence=0.479080819291994)
    await memory.reinforce_lesson("odd")
    assert (await read(memory, "odd")).confidence == 0.579080819292
    assert (await read(memory, "odd")).last_seen > START


async def test_decay_takes_away_down_to_0(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    await learn(memory, "l-1")
    unsure = []
    for n in range(1, 7):
        at = START + n * HOUR
        await storage.apply([DecayLesson(agent_id="scout", lesson_id="l-1", amount=0.1, at=at)])
        lesson = await read(memory, "l-1")
        assert (lesson.occurrences, lesson.last_seen, lesson.updated_at) == (1, START, at)
        unsure.append(lesson.confidence)
    assert unsure == [0.4, 0.3, 0.2, 0.1, 0.0, 0.0]
    await memory.decay_lesson("l-1", 0)
    for amount in (-0.1, 1.1, float("nan"), "much"):
        with pytest.raises(InvalidValue, match="amount"):
            await memory.decay_lesson("l-1", amount)  # type: ignore[arg-type]


async def test_old_lessons_decay_and_others_do_not(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    await learn(memory, "old", last_seen=START - timedelta(microseconds=1))
    await learn(memory, "older", last_seen=START - HOUR, confidence=0.1)
    await learn(memory, "new")
    await learn(storage.scoped("writer").memory, "theirs", last_seen=START - HOUR)
    await memory.decay_lessons(before=START, amount=0.2)
    lessons = await storage.operator().memory.list_lessons()
    confidences = {lesson.id: lesson.confidence for lesson in lessons}
    assert confidences == {"old": 0.3, "older": 0.0, "new": 0.5, "theirs": 0.5}
    assert (await read(memory, "new")).updated_at == START
    assert (await read(memory, "old")).updated_at > START
    wrong = DecayLessons(agent_id="scout", amount=0.1, before=START.replace(tzinfo=None), at=START)
    with pytest.raises(InvalidValue, match="before"):
        await storage.write(wrong)


async def test_merging_keeps_one_that_has_what_both_had(storage: DatabaseAdapter, raw: Raw) -> None:
    memory = storage.scoped("scout").memory
    await learn(
        memory, "keeper", occurrences=3, tags=["b", "a"], related_tools=["bash"], confidence=0.7
    )
    await learn(
        memory,
        "other",
        occurrences=2,
        tags=["c", "a", "d"],
        related_tools=["git", "bash"],
        source_episode_ids=["e-1"],
        last_seen=START + HOUR,
        confidence=0.9,
    )
    await memory.merge_lessons("keeper", "other")
    kept = await read(memory, "keeper")
    assert (kept.occurrences, kept.tags) == (5, ["b", "a", "c", "d"])
    assert (kept.related_tools, kept.source_episode_ids) == (["bash", "git"], ["e-1"])
    assert (kept.confidence, kept.last_seen, kept.lesson) == (0.7, START + HOUR, "wait, keeper")
    assert kept.updated_at > START
    assert await raw.query("SELECT id FROM lessons") == [("keeper",)]
    assert [lesson.id for lesson in await memory.lessons_by_tool("git")] == ["keeper"]
    await learn(storage.scoped("writer").memory, "theirs", visibility="public")
    for keeper, other, missing in (
        ("keeper", "other", "other"),
        ("nope", "keeper", "nope"),
        ("keeper", "theirs", "theirs"),
        ("theirs", "keeper", "theirs"),
    ):
        with pytest.raises(CommandRefused, match=f"agent scout has no lesson {missing}"):
            await memory.merge_lessons(keeper, other)
    with pytest.raises(InvalidValue, match="other_id: is the keeper"):
        await memory.merge_lessons("keeper", "keeper")
    assert await read(memory, "keeper") == kept, "nothing is done by halves"


async def test_an_update_changes_what_it_names(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    await learn(memory, "l-1", embedding=[1, 0, 0])
    await memory.update_lesson(
        "l-1", lesson="zebra", type="success", tags=["t"], confidence=1, embedding=[0, 0, 1]
    )
    lesson = await read(memory, "l-1")
    assert (lesson.lesson, lesson.type, lesson.tags) == ("zebra", "success", ["t"])
    assert (lesson.confidence, lesson.vector, lesson.context) == (1.0, [0, 0, 1], "deploying")
    assert lesson.updated_at > START
    assert [hit.lesson.id for hit in await memory.search_lessons("zebra")] == ["l-1"]
    assert await memory.search_lessons("wait") == []
    for field, value in (("occurrences", 2), ("confidence", 1.5), ("tags", [""]), ("type", "x")):
        with pytest.raises(InvalidValue, match=field):
            await memory.update_lesson("l-1", **{field: value})
    assert await read(memory, "l-1") == lesson


async def test_nobody_changes_what_is_anothers_or_not_there(storage: DatabaseAdapter) -> None:
    lesson = await learn(storage.scoped("a").memory, "of-a", visibility="public")
    other = storage.scoped("b").memory
    for change in (
        other.update_lesson("of-a", lesson="mine"),
        other.reinforce_lesson("of-a"),
        other.decay_lesson("of-a"),
    ):
        with pytest.raises(CommandRefused, match="agent b has no lesson of-a"):
            await change
    await other.delete_lesson("of-a")
    await other.decay_lessons(before=START + HOUR)
    assert await read(other, "of-a") == lesson
    await storage.scoped("a").memory.delete_lesson("of-a")
    await storage.scoped("a").memory.delete_lesson("of-a")
    assert await other.get_lesson("of-a") is None
    assert await other.search_lessons("wait") == []


async def test_lessons_are_listed_and_found(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    for n, (kind, sure, tools, vector) in enumerate(
        [
            ("mistake", 0.9, ["bash"], [1, 0, 0]),
            ("success", 0.2, ["bash", "git"], [0, 1, 0]),
            ("mistake", 0.9, ["ba"], None),
        ]
    ):
        await learn(
            memory,
            f"l-{n}",
            type=kind,
            confidence=sure,
            related_tools=tools,
            embedding=vector,
            last_seen=START + n * HOUR,
            correction="zebra" if n == 1 else None,
        )

    async def ids(**filters: Any) -> list[str]:
        return [lesson.id for lesson in await memory.list_lessons(**filters)]

    assert await ids() == ["l-2", "l-1", "l-0"]
    assert await ids(limit=1, offset=1) == ["l-1"]
    assert await ids(type="mistake") == ["l-2", "l-0"]
    assert await ids(min_confidence=0.9) == ["l-2", "l-0"]
    assert await ids(since=START + HOUR) == ["l-2", "l-1"]
    assert await ids(until=START + HOUR) == ["l-0"]
    by_tool = [lesson.id for lesson in await memory.lessons_by_tool("bash")]
    assert by_tool == ["l-0", "l-1"], "the surest first"
    assert await memory.lessons_by_tool("BASH") == await memory.lessons_by_tool("b'\"?%") == []
    found = await memory.search_lessons("zebra pager")
    assert found[0].lesson.id == "l-1"
    assert len(found) == 3
    near = await memory.search_lessons("", embedding=[0.1, 1, 0])
    assert [hit.lesson.id for hit in near] == ["l-1", "l-0"]
    both = await memory.search_lessons("zebra", embedding=[1, 0, 0])
    assert {hit.lesson.id for hit in both} == {"l-0", "l-1"}
    for wrong, field in (
        (memory.list_lessons(type="rumour"), "type"),
        (memory.list_lessons(min_confidence=2), "min_confidence"),
        (memory.list_lessons(since=START.replace(tzinfo=None)), "since"),
        (memory.lessons_by_tool("\0"), "tool"),
        (memory.search_lessons("x", embedding=[1, 0]), "embedding"),
    ):
        with pytest.raises(InvalidValue, match=f"^{field}"):
            await wrong
