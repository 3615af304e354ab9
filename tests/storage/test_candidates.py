"""Live candidates: noted once, then promoted, merged, discarded, or expired."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from storage import Candidate, CommandRefused, InvalidValue
from storage.adapter import DatabaseAdapter
from storage.memory import Memory
from storage.model.candidates import ExpireCandidates, PromoteCandidate
from tests.storage.backends import Raw, opened

pytestmark = [pytest.mark.anyio, pytest.mark.kept_database]

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def note(memory: Memory, fact: str, **columns: Any) -> Candidate:
    given = {
        "role": "user",
        "candidate_type": "preference",
        "confidence": 0.5,
        "created_at": START,
    }
    return await memory.create_candidate(fact_text=fact, **(given | columns))


async def read(memory: Memory, candidate: Candidate) -> Candidate:
    found = await memory.get_candidate(candidate.id)
    assert found is not None
    return found


async def test_a_candidate_comes_back_as_it_was_written(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    columns: dict[str, Any] = {
        "session_key": "agent:main:0",
        "message_id": "m-1",
        "trigger_flags": ["explicit"],
        "entities": ["李雷"],
        "memory_type_hint": "profile",
        "significance_hint": "core",
        "source_ts": START - HOUR,
        "expires_at": START + HOUR,
        "candidate_id": "c-1",
    }
    written = await note(memory, " 李雷 prefers short answers", **columns)
    assert await memory.get_candidate("c-1") == written
    assert {name: getattr(written, name) for name in columns if name != "candidate_id"} == {
        name: value for name, value in columns.items() if name != "candidate_id"
    }
    assert (written.status, written.promoted_item_id) == ("pending", None)
    assert await memory.find_candidate(written.fact_hash) == written
    plain = await note(memory, "else")
    assert (plain.source_ts, plain.expires_at) == (START, START + timedelta(days=1))


async def test_a_fact_that_is_pending_is_noted_once(storage: DatabaseAdapter, raw: Raw) -> None:
    memory = storage.scoped("scout").memory
    first = await note(memory, "Tea, not coffee", expires_at=START + 2 * HOUR)
    again = await note(
        memory, " tea, NOT coffee", confidence=0.8, created_at=START + HOUR, role="assistant",
        expires_at=START + HOUR,
    )  # fmt: skip
    assert (again.id, again.confidence, again.role) == (first.id, 0.8, "user")
    assert (again.expires_at, again.updated_at) == (START + 2 * HOUR, START + HOUR)
    lower = await note(memory, "tea, not coffee", confidence=0.1, expires_at=START + 9 * HOUR)
    assert (lower.confidence, lower.expires_at) == (0.8, START + 9 * HOUR)
    assert lower.updated_at == START + HOUR
    assert await raw.query("SELECT count(*) FROM live_candidates") == [(1,)]
    theirs = await note(storage.scoped("writer").memory, "tea, not coffee")
    assert (theirs.id != first.id, theirs.confidence) == (True, 0.5)
    await memory.discard_candidate(first.id)
    anew = await note(memory, "tea, not coffee")
    assert (anew.id != first.id, anew.status, anew.confidence) == (True, "pending", 0.5)


async def test_the_same_candidate_again_is_no_news_whatever_became_of_it(
    storage: DatabaseAdapter,
) -> None:
    memory = storage.scoped("scout").memory
    first = await note(memory, "fact", candidate_id="c-1")
    assert await note(memory, "fact", candidate_id="c-1") == first
    await memory.discard_candidate("c-1", reason="dull")
    discarded = await read(memory, first)
    assert await note(memory, "fact", candidate_id="c-1") == discarded
    assert await memory.list_candidates(status="pending") == []
    for agent, fact, columns in (
        ("scout", "other fact", {}),
        ("scout", "fact", {"created_at": START + HOUR}),
        ("writer", "fact", {}),
    ):
        with pytest.raises(CommandRefused, match="another live candidate c-1 already"):
            await note(storage.scoped(agent).memory, fact, candidate_id="c-1", **columns)


async def test_promoting_makes_an_item_in_the_same_transaction(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    memory = storage.scoped("scout").memory
    hinted = await note(memory, "Ada", memory_type_hint="profile", significance_hint="core")
    item = await memory.promote_candidate(hinted.id, embedding=[1, 0, 0], reason="said twice")
    assert (item.summary, item.memory_type, item.significance) == ("Ada", "profile", "core")
    assert (item.vector, item.reinforcement_count) == ([1, 0, 0], 1)
    assert await memory.get_item(item.id) == item
    promoted = await read(memory, hinted)
    assert (promoted.status, promoted.promoted_item_id) == ("promoted", item.id)
    assert (promoted.promotion_reason, promoted.updated_at > START) == ("said twice", True)
    plain = await memory.promote_candidate((await note(memory, "Bob")).id)
    assert (plain.memory_type, plain.significance) == ("knowledge", "routine")
    said = await note(memory, "Eve", memory_type_hint="profile")
    over = await memory.promote_candidate(said.id, memory_type="self", significance="important")
    assert (over.memory_type, over.significance) == ("self", "important")
    # The id of another fact: the item is refused, and so is what goes with it.
    last = await note(memory, "Zoe")
    taken = PromoteCandidate(agent_id="scout", candidate_id=last.id, item_id=item.id, at=START)
    with pytest.raises(CommandRefused, match="id: there is another memory item"):
        await storage.write(taken)
    assert await read(memory, last) == last
    assert (await storage.stats()).memory_items == 3


async def test_promoting_what_is_known_reinforces_it(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    known = await memory.create_item(summary="The sky is blue", memory_type="event")
    candidate = await note(memory, "the sky is BLUE ")
    item = await memory.promote_candidate(candidate.id, memory_type="skill")
    assert (item.id, item.reinforcement_count, item.memory_type) == (known.id, 2, "event")
    assert (await read(memory, candidate)).promoted_item_id == known.id


async def test_merging_reinforces_an_item_of_ones_own(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    item = await memory.create_item(summary="likes tea", memory_type="profile")
    theirs = await storage.scoped("writer").memory.create_item(
        summary="x", memory_type="event", visibility="public"
    )
    candidate = await note(memory, "drinks tea")
    for wrong in ("nope", theirs.id):
        with pytest.raises(CommandRefused, match=f"no memory item {wrong}"):
            await memory.merge_candidate(candidate.id, wrong)
    assert await read(memory, candidate) == candidate, "nothing is done by halves"
    await memory.merge_candidate(candidate.id, item.id, reason="the same")
    merged = await read(memory, candidate)
    assert (merged.status, merged.promoted_item_id) == ("merged", item.id)
    assert merged.promotion_reason == "the same"
    reinforced = await memory.get_item(item.id)
    assert reinforced is not None
    assert (reinforced.reinforcement_count, reinforced.summary) == (2, "likes tea")


async def test_only_what_is_pending_and_ones_own_is_settled(storage: DatabaseAdapter) -> None:
    memory, other = storage.scoped("scout").memory, storage.scoped("writer").memory
    item = await memory.create_item(summary="x", memory_type="event")
    candidate = await note(memory, "fact")
    for view, wrong, problem in (
        (other, candidate.id, f"agent writer has no live candidate {candidate.id}"),
        (memory, "nope", "agent scout has no live candidate nope"),
    ):
        for settle in (
            view.promote_candidate(wrong),
            view.merge_candidate(wrong, item.id),
            view.discard_candidate(wrong),
        ):
            with pytest.raises(CommandRefused, match=problem):
                await settle
    await memory.discard_candidate(candidate.id, reason="dull")
    discarded = await read(memory, candidate)
    assert (discarded.status, discarded.promotion_reason) == ("discarded", "dull")
    for settle in (
        memory.promote_candidate(candidate.id),
        memory.merge_candidate(candidate.id, item.id),
        memory.discard_candidate(candidate.id),
    ):
        with pytest.raises(CommandRefused, match="is discarded, and not pending"):
            await settle
    assert await read(memory, candidate) == discarded
    assert (await storage.stats()).memory_items == 1


async def test_what_is_over_expires(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    over = await note(memory, "over", expires_at=START + HOUR)
    waits = await note(memory, "waits", expires_at=START + HOUR + timedelta(microseconds=1))
    kept = await note(memory, "kept", expires_at=START)
    item = await memory.promote_candidate(kept.id)
    theirs = await note(storage.scoped("writer").memory, "over", expires_at=START)
    await memory.expire_candidates(at=START + HOUR)
    expired = await read(memory, over)
    assert (expired.status, expired.updated_at) == ("expired", START + HOUR)
    assert await read(memory, waits) == waits
    assert (await read(memory, kept)).promoted_item_id == item.id
    assert await read(storage.scoped("writer").memory, theirs) == theirs
    await memory.expire_candidates()
    assert await memory.list_candidates(status="pending") == []
    with pytest.raises(InvalidValue, match="at"):
        await storage.write(ExpireCandidates(agent_id="scout", at=START.replace(tzinfo=None)))


async def test_candidates_are_listed_the_newest_first_and_by_filter(
    storage: DatabaseAdapter,
) -> None:
    memory = storage.scoped("scout").memory
    for n in range(4):
        await note(
            memory,
            f"fact {n}",
            candidate_id=f"c-{n}",
            session_key=f"s-{n % 2}",
            candidate_type="decision" if n == 3 else "preference",
            created_at=START + n * HOUR,
        )
    await memory.discard_candidate("c-0")

    async def ids(**filters: Any) -> list[str]:
        return [one.id for one in await memory.list_candidates(**filters)]

    assert await ids() == ["c-3", "c-2", "c-1", "c-0"]
    assert await ids(limit=2, offset=1) == ["c-2", "c-1"]
    assert await ids(status="pending", session_key="s-0") == ["c-2"]
    assert await ids(candidate_type="decision") == ["c-3"]
    day = timedelta(days=1)
    assert await ids(expires_since=START + day + HOUR, expires_until=START + day + 3 * HOUR) == [
        *("c-2", "c-1")
    ]
    with pytest.raises(InvalidValue, match="status"):
        await memory.list_candidates(status="lost")


async def test_writers_at_once_note_a_fact_once(
    both_sides: Any, backend: str, path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    server: Any = request.getfixturevalue("postgres_server") if database else None
    async with opened(backend, path, server, database) as (other, _):
        async with anyio.create_task_group() as tasks:
            for n in range(20):
                memory = (both_sides.storage, other)[n % 2].scoped("scout").memory
                tasks.start_soon(lambda m=memory, n=n: note(m, "fact", confidence=n / 20))
        [candidate] = await other.scoped("scout").memory.list_candidates()
        assert candidate.confidence == 19 / 20
        items = []

        async def promote(memory: Memory) -> None:
            try:
                items.append(await memory.promote_candidate(candidate.id))
            except CommandRefused as error:
                assert "is promoted, and not pending" in str(error)

        async with anyio.create_task_group() as tasks:
            for storage in (both_sides.storage, other) * 3:
                tasks.start_soon(promote, storage.scoped("scout").memory)
        assert [item.reinforcement_count for item in items] == [1]
