"""What every command is: a write that carries its own ids and times, given by who asks for it."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Self, TypeVar

import msgspec

from storage.errors import InvalidValue

from . import values

S = TypeVar("S", bound=msgspec.Struct)

_BUILTIN: Final = (bytes, datetime)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A write: applying it on another backend, or again, gives the same rows.

    Each kind is a subclass with `tag=True`, and has `agent_id`, in whose name it is: a field, or a
    property where it stands within the row that is written.

    Attributes:
        area: Commands of one area keep their order; those of another may overtake them, since none
            of the tables that the one touches is touched, or looked at, by the other.
        by_operators: Whether operators, who have no name, may give it.
    """

    area: ClassVar[str]
    by_operators: ClassVar[bool] = False

    # Each kind has these: a test sees to it. Here they would hide that one has not.
    if TYPE_CHECKING:

        @property
        def agent_id(self) -> str: ...

        def checked(self, dimensions: int) -> Self:
            """The command with every value checked.

            Args:
                dimensions: Of embeddings.

            Raises:
                InvalidValue: a value that no table may hold.
            """


class Changes(Generic[S]):
    """What an update may change of a row.

    Args:
        sample: Any row that is valid.
        changeable: The columns that may be changed.
        check: Returns the row with every value checked.
    """

    def __init__(
        self, sample: S, changeable: tuple[str, ...], check: Callable[[S, int], S]
    ) -> None:
        self._sample = sample
        self._changeable = changeable
        self._check = check

    def check(self, changes: dict[str, Any], dimensions: int) -> None:
        """See that `changes` are of columns that may be changed, to values that they may hold.

        Raises:
            InvalidValue: they are not.
        """
        for field in changes:
            if field not in self._changeable:
                raise InvalidValue(
                    ascii(field)[1:-1][:60],
                    f"cannot be changed; these can: {', '.join(self._changeable)}",
                )
        self._check(self._changed(changes), dimensions)

    def converted(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The values of `changes`, of the types that their columns have."""
        row = self._changed(changes)
        return {field: getattr(row, field) for field in changes}

    def _changed(self, changes: dict[str, Any]) -> S:
        plain = msgspec.to_builtins(self._sample, builtin_types=_BUILTIN) | changes
        try:
            return msgspec.convert(plain, type(self._sample), builtin_types=_BUILTIN)
        except msgspec.ValidationError as error:
            field = str(error).rpartition("$.")[2].rstrip("`") or "changes"
            raise InvalidValue(field, f"is of the wrong type: {error}") from None
        except RecursionError:
            raise InvalidValue("changes", "are nested too deep: make them flatter") from None


def check_target(field: str, value: str, at: datetime | None = None) -> None:
    """Check the id of what a command changes, and when it does so, where that is said.

    Raises:
        InvalidValue: an id that no row has, or no time.
    """
    values.text(field, value, least=1, most=128)
    if at is not None:
        values.known_moment("at", at)
