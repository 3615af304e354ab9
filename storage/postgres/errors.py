"""What asyncpg raises, in this package's words."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import asyncpg

from storage.database import Contended, Violation
from storage.dimensions import mismatch
from storage.errors import DatabaseUnavailable, SchemaMismatch

_DAMAGED: Final = ": it is damaged; restore a backup"

#: By SQLSTATE, or its class: what to do about it.
_REMEDIES: Final = {
    "53100": ": make room on its disk; what waits in Redis is applied then",
    "53300": ": raise max_connections, or put PgBouncer before it",
    "25006": ": it is read-only (a standby?): name the primary with --postgres-url",
    "08": ": the connection is lost; try again, and see whether the server runs",
    "28": ": check the user and the password in the URL (`argentbus setup postgres`)",
    "3D": ": make it with `argentbus setup postgres`",
    "42501": ": let `argentbus setup postgres` grant what is missing",
    "55P03": ": others are at work there and do not let go; stop them (the sidecars), then again",
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
    "57P03": ": it is starting or stopping; wait",
}

#: What pgvector says of a vector of another dimension: than its column has, or than it meets there.
_DIMENSIONS: Final = re.compile(
    r"expected (\d+) dimensions, not (\d+)|different vector dimensions (\d+) and (\d+)"
)

#: Classes of SQLSTATE that are the values' fault, and stay so however often it is tried.
_VALUES: Final = ("22", "23", "54", "P0")

Constraints = Mapping[str, str]


@contextmanager
def translated(where: str, constraints: Constraints | None = None) -> Iterator[None]:
    """Raise what goes wrong inside as errors of storage.

    Args:
        where: The server, without a password, for messages.
        constraints: What each constraint is about, in the words of SQLite, so that both say the
            same.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _of_server(error, where, constraints or {}) from error
    except (asyncpg.DataError, OverflowError) as error:
        raise Violation(str(error)) from error
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise DatabaseUnavailable(
            f"PostgreSQL at {where} cannot be reached ({error or type(error).__name__}): is it "
            "running there?"
        ) from error
    except TimeoutError as error:
        raise DatabaseUnavailable(f"PostgreSQL at {where} does not answer") from error


def _of_server(error: Any, where: str, constraints: Constraints) -> Exception:
    state = error.sqlstate or ""
    # A column's type was changed since the statement was prepared; by now it is forgotten.
    if state.startswith("40") or isinstance(error, asyncpg.InvalidCachedStatementError):
        return Contended(str(error))
    if found := _DIMENSIONS.fullmatch(str(error)):
        # Every vector has been checked: who sends it, and not what is sent, is not up to date.
        stored, ours = (int(number) for number in found.groups() if number is not None)
        return mismatch(f"PostgreSQL at {where}", stored, ours)
    if state in {"22023", "42704"}:  # a role, or a type, that setup makes
        return DatabaseUnavailable(
            f"PostgreSQL at {where}: {error}: let `argentbus setup postgres` make it"
        )
    if state.startswith(_VALUES):
        return Violation(_broken_rule(error, constraints))
    if state in {"42P01", "42703"}:
        return SchemaMismatch(
            f"PostgreSQL at {where}: {error}: bring its schema up to date with "
            "`argentbus migrate schema`"
        )
    remedy = _REMEDIES.get(state) or _REMEDIES.get(state[:2], "")
    return DatabaseUnavailable(f"PostgreSQL at {where}: {error}{remedy}")


def _broken_rule(error: Any, constraints: Constraints) -> str:
    match error:
        case asyncpg.NotNullViolationError():
            return f"NOT NULL constraint failed: {error.table_name}.{error.column_name}"
        case asyncpg.UniqueViolationError():
            name = str(error.constraint_name)
            return f"UNIQUE constraint failed: {constraints.get(name, name)}"
        case asyncpg.CheckViolationError():
            return f"CHECK constraint failed: {error.constraint_name}"
        case asyncpg.ForeignKeyViolationError():
            return "FOREIGN KEY constraint failed"
    return str(error)
