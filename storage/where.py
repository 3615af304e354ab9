"""Conditions that a caller adds to a reading statement, so that the database chooses, not we."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

_NUMBERED: Final = re.compile(r"\$(\d+)")

#: Where a statement takes a condition in.
PLACE: Final = "{where}"


class Where(NamedTuple):
    """A condition.

    Attributes:
        sql: In it `$1` is the reading agent, `$2` and on are `values`; empty for every row.
        values: On their way in.
    """

    sql: str = ""
    values: tuple[Any, ...] = ()

    def placed(self, statement: str, *args: Any) -> tuple[str, tuple[Any, ...]]:
        """The statement with this condition in its `{where}`.

        Args:
            args: Of the statement, from `$2` on.

        Returns:
            The statement, and what it takes from `$2` on.
        """
        condition = f"AND ({_shifted(self.sql, len(args))})" if self.sql else ""
        return statement.replace(PLACE, condition), (*args, *self.values)


#: No condition.
EVERY: Final = Where()


def all_of(conditions: Iterable[Where]) -> Where:
    """A condition that holds where all of them do."""
    return _joined(conditions, " AND ")


def any_of(conditions: Iterable[Where]) -> Where:
    """A condition that holds where one of them does: none where there are none."""
    joined = _joined(conditions, " OR ")
    return joined if joined.sql else Where("1 = 0")


def _joined(conditions: Iterable[Where], word: str) -> Where:
    parts: list[str] = []
    values: Sequence[Any] = ()
    for condition in conditions:
        parts.append(f"({_shifted(condition.sql, len(values))})")
        values = (*values, *condition.values)
    return Where(word.join(parts), tuple(values))


def _shifted(sql: str, by: int) -> str:
    """Placeholders moved on, but for the agent's."""
    return _NUMBERED.sub(lambda m: m[0] if m[1] == "1" else f"${int(m[1]) + by}", sql)
