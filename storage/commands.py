"""Commands: the only way in. Each carries its own ids and times, so that applying it on another
backend, or again, gives the same rows.
"""

from datetime import datetime
from typing import Any, Final, get_args

import msgspec

from .errors import InvalidValue
from .model import memory, tasks, values

Command = memory.MemoryCommand | tasks.TaskCommand

TYPES: Final[dict[str, Any]] = {kind.__name__: kind for kind in get_args(Command)}

#: Dimensions of an embedding, unless a storage is set up for others: nomic-embed-text's.
DIMENSIONS: Final = 768


def checked(command: Command, dimensions: int) -> Command:
    """Return `command` with every value checked.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    if not isinstance(command, Command):
        raise InvalidValue("command", f"is a {type(command).__name__}, which is none")
    values.text("agent_id", command.agent_id, least=1, most=128)
    match command:
        case memory.CreateItem(item=item):
            return memory.CreateItem(item=memory.checked_item(item, dimensions))
        case memory.UpdateItem(item_id=item_id, changes=changes, at=at):
            _checked_target("item_id", item_id, at)
            changed = _changed(memory.MemoryItem, _ANY_ITEM, changes, memory.CHANGEABLE)
            memory.checked_item(changed, dimensions)
        case tasks.CreateTask(task=task):
            tasks.checked_task(task)
        case tasks.UpdateTask(task_id=task_id, changes=changes, at=at):
            _checked_target("task_id", task_id, at)
            tasks.checked_task(_changed(tasks.Task, _ANY_TASK, changes, tasks.CHANGEABLE))
        case memory.ReinforceItem(item_id=item_id, at=at):
            _checked_target("item_id", item_id, at)
        case memory.DeleteItem(item_id=item_id):
            values.text("item_id", item_id, least=1, most=128)
        case tasks.DeleteTask(task_id=task_id):
            values.text("task_id", task_id, least=1, most=128)
        case tasks.MoveTask(task_id=task_id, status=status, at=at, note=note):
            _checked_target("task_id", task_id, at)
            values.one_of("status", status, tasks.STATUSES)
            values.optional_text("note", note)
    return command


def _checked_target(field: str, value: str, at: datetime) -> None:
    values.text(field, value, least=1, most=128)
    values.known_moment("at", at)


def _changed(kind: Any, sample: Any, changes: dict[str, Any], allowed: tuple[str, ...]) -> Any:
    """`sample` with `changes`, converted to the types of the columns."""
    for field in changes:
        if field not in allowed:
            raise InvalidValue(
                ascii(field)[1:-1][:60], f"cannot be changed; these can: {', '.join(allowed)}"
            )
    plain = msgspec.to_builtins(sample, builtin_types=_BUILTIN) | changes
    try:
        return msgspec.convert(plain, kind, builtin_types=_BUILTIN)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("$.")[2].rstrip("`") or "changes"
        raise InvalidValue(field, f"is of the wrong type: {error}") from None
    except RecursionError:
        raise InvalidValue("changes", "are nested too deep: make them flatter") from None


def converted_changes(kind: Any, changes: dict[str, Any]) -> dict[str, Any]:
    """The values of `changes`, of the types that the columns of `kind` have."""
    sample = _ANY_ITEM if kind is memory.MemoryItem else _ANY_TASK
    row = _changed(kind, sample, changes, tuple(changes))
    return {field: getattr(row, field) for field in changes}


_BUILTIN: Final = (bytes, datetime)
_NOW: Final = values.now()
_ANY_ITEM: Final = memory.MemoryItem(
    id="x", agent_id="x", memory_type="event", summary="x", created_at=_NOW, updated_at=_NOW
)
_ANY_TASK: Final = tasks.Task(id="x", title="x", created_at=_NOW, updated_at=_NOW)
