"""Values that no table may hold: each is refused by name, on every way in, and nothing written."""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from storage import CommandRefused, InvalidValue, MemoryItem, Task
from storage.adapter import DatabaseAdapter
from storage.commands import TYPES, Command
from storage.model.items import CreateItem, DeleteItem, ReinforceItem, UpdateItem
from storage.model.tasks import CreateTask, DeleteTask, MoveTask, UpdateTask
from tests.storage.backends import BACKENDS, Raw

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 2, tzinfo=UTC)
NAIVE = datetime(2026, 1, 2)  # noqa: DTZ001 (what is to be refused)
BEHIND_THE_END = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5)))
ITEM = MemoryItem(
    id="i-1", agent_id="scout", memory_type="event", summary="x", created_at=NOW, updated_at=NOW
)
TASK = Task(id="t-1", agent_id="scout", title="x", created_at=NOW, updated_at=NOW)


def nested(depth: int) -> dict[str, Any]:
    """An object within an object, and so on."""
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"deeper": value}
    return value


OF_ITEMS: list[tuple[str, Any, str]] = [
    ("summary", "x" * 10_000_000, "has 10,000,000 characters"),
    ("summary", "", "has 0 characters"),
    ("summary", "a\0b", "NUL"),
    ("summary", "a\ud800b", "surrogate"),
    ("summary", b"bytes", "is a bytes"),
    ("summary", None, "is a NoneType"),
    ("memory_type", "rumour", "'rumour', and must be profile, event"),
    ("significance", "CORE", "must be routine"),
    ("visibility", "secret", "must be private"),
    ("emotional_valence", math.nan, "must be from -2 to 2"),
    ("emotional_valence", 2.5, "is 2.5"),
    ("emotional_valence", 10**5000, "must be from -2 to 2"),
    ("emotional_arousal", -0.1, "from 0 to 1"),
    ("emotional_arousal", "high", "must be a number"),
    ("emotional_arousal", True, "must be a number"),
    ("happened_at", NAIVE, "time zone"),
    ("happened_at", "2026-01-02", "time zone"),
    ("happened_at", BEHIND_THE_END, "between the years"),
    ("extra", {"a": math.nan}, "NaN"),
    ("extra", {"a": [1, "\0"]}, "NUL"),
    ("extra", {"a\ud800": 1}, "surrogate"),
    ("extra", {1: 2}, "is a int"),
    ("extra", {"a": 2**70}, "whole|from"),
    ("extra", {"a": NOW}, "has a datetime"),
    ("extra", {"a": object()}, "has a object"),
    ("extra", [1], "must be an object"),
    ("extra", nested(65), "nested deeper than 64"),
    ("extra", nested(990), "nested"),
    ("extra", nested(50_000), "nested"),
    ("extra", {"a": "x" * 1_000_000}, "characters"),
    ("mood_at_capture", "m" * 1001, "1,001 characters"),
    ("reflection", "\0", "NUL"),
    ("lesson", 5, "is a int"),
]
ONLY_NEW_ITEMS: list[tuple[str, Any, str]] = [
    ("id", "", "0 characters"),
    ("id", "\0", "NUL"),
    ("resource_id", "\ud800", "surrogate"),
    ("reinforcement_count", 0, "from 1"),
    ("reinforcement_count", 1.5, "whole number"),
    ("reinforcement_count", math.nan, "whole number"),
    ("last_reinforced_at", NAIVE, "time zone"),
    ("created_at", NAIVE, "time zone"),
    ("updated_at", BEHIND_THE_END, "between the years"),
    ("updated_at", None, "missing"),
    ("embedding", b"\0" * 8, "has 2 dimensions, and this storage keeps 3"),
    ("embedding", b"\xff" * 12, "NaN"),
    ("embedding", [1, 2, 3], "is a list"),
    ("agent_id", "a" * 129, "129 characters"),
    ("agent_id", "\ud800", "surrogate"),
]
OF_TASKS: list[tuple[str, Any, str]] = [
    ("title", "", "0 characters"),
    ("title", "t" * 10_001, "10,001"),
    ("title", "\0", "NUL"),
    ("description", "\udfff", "surrogate"),
    ("priority", "asap", "must be urgent"),
    ("assignee", "a" * 257, "257"),
    ("due_at", NAIVE, "time zone"),
    ("tags", ["ok", "\0"], "NUL"),
    ("tags", [""], "0 characters"),
    ("tags", "abc", "list"),
    ("metadata", {"a": math.inf}, "infinity"),
    ("metadata", nested(990), "nested"),
    ("depends_on", ["\0"], "NUL"),
    ("depends_on", None, "list"),
    ("depends_on", ["x"] * 1001, "1,001 tasks"),
    ("parent_task_id", "\0", "NUL"),
    ("team_id", "\ud800", "surrogate"),
]
ONLY_NEW_TASKS: list[tuple[str, Any, str]] = [
    ("id", "t" * 129, "129"),
    ("agent_id", "\0", "NUL"),
    ("status", "done", "must be pending"),
    ("source", "dream", "must be user"),
    ("started_at", NAIVE, "time zone"),
    ("completed_at", BEHIND_THE_END, "between the years"),
    ("created_at", NAIVE, "time zone"),
    ("updated_at", None, "missing"),
    ("claim_id", "c", "then `claim` it"),
    ("claim_expires_at", NOW, "then `claim` it"),
    ("depends_on", ["t-1"], "itself"),
    ("parent_task_id", "t-1", "itself"),
]


@pytest.fixture(params=BACKENDS, scope="module")
def backend(request: pytest.FixtureRequest) -> str:
    """The backend: most of these tests write nothing, so a database serves them all."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def database(backend: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A PostgreSQL database of three dimensions, where that is the backend."""
    if backend == "sqlite":
        yield ""
    else:
        with request.getfixturevalue("postgres_server").database(3) as name:
            yield name


def _short(value: object) -> str:
    return ascii(value)[1:13] if isinstance(value, str) else type(value).__name__


async def refused(storage: DatabaseAdapter, command: Command, field: str, problem: str) -> None:
    """Check that `command` is refused, by name, alone and among good ones, and nothing written."""
    with pytest.raises(InvalidValue, match=problem) as caught:
        await storage.write(command)
    assert caught.value.field.startswith(field)
    assert str(caught.value).startswith(field)
    assert len(str(caught.value)) < 500
    good = CreateItem(item=msgspec.structs.replace(ITEM, id="good", summary="good"))
    with pytest.raises(CommandRefused, match=f"^{field}.*({problem})") as batch:
        await storage.apply([good, command, good])
    assert batch.value.index == 1
    assert (await storage.stats()).memory_items == (await storage.stats()).tasks == 0


@pytest.mark.parametrize(("field", "value", "problem"), OF_ITEMS + ONLY_NEW_ITEMS, ids=_short)
async def test_an_item_with_a_wrong_value_is_refused(
    storage: DatabaseAdapter, field: str, value: Any, problem: str
) -> None:
    item = msgspec.structs.replace(ITEM, **{field: value})
    await refused(storage, CreateItem(item=item), field, problem)


@pytest.mark.parametrize(("field", "value", "problem"), OF_ITEMS, ids=_short)
async def test_an_item_is_not_changed_to_a_wrong_value(
    storage: DatabaseAdapter, field: str, value: Any, problem: str
) -> None:
    command = UpdateItem(agent_id="scout", item_id="i-1", changes={field: value}, at=NOW)
    with pytest.raises(InvalidValue) as caught:
        await storage.write(command)
    assert caught.value.field.startswith((field, "changes")), caught.value
    with pytest.raises(CommandRefused):
        await storage.apply([command])


@pytest.mark.parametrize(("field", "value", "problem"), OF_TASKS + ONLY_NEW_TASKS, ids=_short)
async def test_a_task_with_a_wrong_value_is_refused(
    storage: DatabaseAdapter, field: str, value: Any, problem: str
) -> None:
    task = msgspec.structs.replace(TASK, **{field: value})
    await refused(storage, CreateTask(by="scout", task=task), field, problem)


@pytest.mark.parametrize(("field", "value", "problem"), OF_TASKS, ids=_short)
async def test_a_task_is_not_changed_to_a_wrong_value(
    storage: DatabaseAdapter, field: str, value: Any, problem: str
) -> None:
    command = UpdateTask(agent_id="scout", task_id="t-1", changes={field: value}, at=NOW)
    with pytest.raises(InvalidValue) as caught:
        await storage.write(command)
    assert caught.value.field.startswith((field, "changes")), caught.value


COMMANDS: list[tuple[Callable[[], Any], str, str]] = [
    (lambda: ReinforceItem(agent_id="scout", item_id="i", at=NAIVE), "at", "time zone"),
    (lambda: ReinforceItem(agent_id="scout", item_id="\0", at=NOW), "item_id", "NUL"),
    (lambda: DeleteItem(agent_id="scout", item_id="\ud800"), "item_id", "surrogate"),
    (lambda: DeleteItem(agent_id="", item_id="i"), "agent_id", "0 characters"),
    (
        lambda: UpdateItem(agent_id="a", item_id="i", changes={}, at=BEHIND_THE_END),
        *("at", "between the years"),
    ),
    (
        lambda: UpdateItem(agent_id="a", item_id="i", changes={"id": "x"}, at=NOW),
        *("id", "cannot be changed"),
    ),
    (
        lambda: UpdateItem(agent_id="a", item_id="i", changes={"a'; DROP": 1}, at=NOW),
        *("a'; DROP", "cannot be changed"),
    ),
    (lambda: DeleteTask(agent_id="scout", task_id="\0", at=NOW), "task_id", "NUL"),
    (
        lambda: MoveTask(agent_id="scout", task_id="t", status="done", at=NOW),
        *("status", "must be pending"),
    ),
    (
        lambda: MoveTask(agent_id="scout", task_id="t", status="failed", at=NAIVE),
        *("at", "time zone"),
    ),
    (
        lambda: MoveTask(agent_id="scout", task_id="t", status="failed", at=NOW, note="\0"),
        *("note", "NUL"),
    ),
    (lambda: CreateTask(by="", task=TASK), "agent_id", "0 characters"),
    (lambda: ITEM, "command", "is a MemoryItem"),
    (lambda: None, "command", "is a NoneType"),
]


@pytest.mark.parametrize(("command", "field", "problem"), COMMANDS, ids=_short)
async def test_a_command_with_a_wrong_value_is_refused(
    storage: DatabaseAdapter, command: Callable[[], Any], field: str, problem: str
) -> None:
    await refused(storage, command(), field, problem)


async def test_the_methods_refuse_before_anything_is_written(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    view = storage.scoped("scout")
    for columns in (
        {"summary": "x" * 10_000_000},
        {"summary": "x", "created_at": NAIVE},
        {"summary": "x", "embedding": [1.0, 2.0]},
        {"summary": "\ud800"},
        {"summary": "x", "extra": nested(990)},
    ):
        with pytest.raises(InvalidValue):
            await view.memory.create_item(memory_type="event", **columns)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="title"):
        await view.tasks.create_task(title="\0")
    assert not any((await raw.everything()).values())


async def test_a_reader_is_told_what_is_wrong_with_what_it_asks(storage: DatabaseAdapter) -> None:
    view = storage.scoped("scout")
    for read, field in (
        (lambda: view.memory.get_item("\ud800"), "item_id"),
        (lambda: view.memory.find_by_hash("\0"), "content_hash"),
        (lambda: view.memory.list_items(memory_type="rumour"), "memory_type"),
        (lambda: view.memory.list_items(significance="\ud800"), "significance"),
        (lambda: view.memory.search("\ud800"), "query"),
        (lambda: view.tasks.get_task("abcd\ud800"), "task_id"),
        (lambda: view.tasks.list_tasks(status="done"), "status"),
        (lambda: view.tasks.list_tasks(assignee="\ud800"), "assignee"),
        (lambda: view.tasks.list_tasks(offset=2**70), "offset"),
        (lambda: view.tasks.search_tasks("\0"), "query"),
    ):
        with pytest.raises(InvalidValue) as caught:
            await read()
        assert caught.value.field == field
    for agent in ("", "\ud800", "a" * 129):
        with pytest.raises(InvalidValue, match="agent"):
            storage.scoped(agent)
    with pytest.raises(InvalidValue, match="agent_id"):
        await storage.operator().memory.create_item(summary="x", memory_type="event")


async def test_the_largest_that_is_allowed_is_kept(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    item = await memory.create_item(
        summary="ü" * 1_000_000, memory_type="event", extra=nested(64), embedding=[3e38, 0, 0]
    )
    assert await memory.get_item(item.id) == item
    assert await memory.list_items() == [item]
    await memory.delete_item(item.id)


def test_every_command_checks_itself_and_says_in_whose_name_it_is() -> None:
    assert len(TYPES) > 50
    for name, kind in TYPES.items():
        assert callable(getattr(kind, "checked", None)), name
        assert "agent_id" in kind.__struct_fields__ or hasattr(kind, "agent_id"), name
