"""Commands: the only way in. All kinds there are, by the names that the write log has for them."""

from typing import Any, Final

from .errors import InvalidValue
from .model import (
    agents,
    candidates,
    categories,
    claims,
    collections,
    documents,
    entities,
    feedback,
    imports,
    items,
    lessons,
    observations,
    reflections,
    resources,
    secrets,
    sessions,
    shared_knowledge,
    tasks,
    teams,
    values,
)
from .model.command import Command

__all__ = ["DIMENSIONS", "TYPES", "Command", "checked"]

#: Dimensions of an embedding, unless a storage is set up for others: nomic-embed-text's.
DIMENSIONS: Final = 768

_MODULES: Final[Any] = (
    items,
    resources,
    categories,
    entities,
    reflections,
    lessons,
    candidates,
    feedback,
    sessions,
    observations,
    tasks,
    claims,
    teams,
    agents,
    collections,
    documents,
    shared_knowledge,
    secrets,
    imports,
)

TYPES: Final[dict[str, Any]] = {
    kind.__name__: kind for module in _MODULES for kind in module.COMMANDS
}


def checked(command: Command, dimensions: int, *, operator: bool = False) -> Command:
    """Return `command` with every value checked.

    Args:
        operator: An operator gives it: some commands may then be in nobody's name.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    if not isinstance(command, Command):
        raise InvalidValue("command", f"is a {type(command).__name__}, which is none")
    if not (operator and command.by_operators and command.agent_id == ""):
        values.text("agent_id", command.agent_id, least=1, most=128)
    return command.checked(dimensions)
