"""Making what a PostgreSQL server has to have: roles and the database. Done again, it does nothing.

Nobody but argentbus_schema owns anything, and nobody logs in as it. Who logs in has no rights of
its own: each transaction takes on the role that it needs.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from storage.errors import DatabaseUnavailable
from storage.settings import ConfigurationError, without_password

from .catalog import APP_ROLE, OPERATOR_ROLE, SCHEMA_ROLE, SIDECAR_ROLE
from .errors import translated

#: What PostgreSQL and pgvector have to be at least.
POSTGRES: Final = 15
PGVECTOR: Final = (0, 8)

#: Roles that who logs in may take on.
_TAKEN_ON: Final = (APP_ROLE, OPERATOR_ROLE, SIDECAR_ROLE)


#: What searches call for each row, and nothing of the row can be told by: its results apart, it
#: raises no errors.
_TRUSTED: Final = (
    ("keyword searches", "ts_match_vq", "tsvector, tsquery"),
    ("searches of extra keys", "jsonb_contains", "jsonb, jsonb"),
)


class Step(NamedTuple):
    """One thing to do.

    Attributes:
        text: In words.
        sql: The statement; may have a password in it.
    """

    text: str
    sql: str


async def setup(admin_url: str, url: str, *, dry_run: bool = False) -> list[Step]:
    """Make what is missing for `url` to be opened, but for its schema; return what it was.

    Args:
        admin_url: Of a superuser, or a user who may make roles and databases.
        url: As the sidecar will have it: with the user and the database that are made.
        dry_run: Only look.

    Raises:
        DatabaseUnavailable: the server cannot be reached, or it is refused there.
        ConfigurationError: `url` names no user or no database.
    """
    wanted = _Wanted.of(url)
    async with _connected(admin_url) as admin:
        server = await _server(admin)
        steps = list(await _roles_and_database(admin, wanted, server))
        done = await _take(admin, steps, dry_run)
        exists = await _is(admin, "SELECT 1 FROM pg_database WHERE datname = $1", wanted.database)
    if not exists:  # only looked at
        return [*done, *(step for _, step in _inside(wanted, server))]
    async with _connected(_to(admin_url, wanted.database)) as inside:
        missing = [step for test, step in _inside(wanted, server) if not await _is(inside, test)]
        done += await _take(inside, missing, dry_run)
        if not dry_run:
            await _check_pgvector(inside)
    return done


class _Wanted(NamedTuple):
    user: str
    password: str | None
    database: str

    @classmethod
    def of(cls, url: str) -> "_Wanted":
        parts = urlsplit(url)
        user, database = unquote(parts.username or ""), unquote(parts.path.strip("/"))
        if not user or not database:
            raise ConfigurationError(
                f"the PostgreSQL URL {without_password(url)} has to name the user and the database "
                "that are to be made: postgresql://argentbus:PASSWORD@HOST:5432/argentbus"
            )
        return cls(user, parts.password and unquote(parts.password), database)


class _Server(NamedTuple):
    version: int
    user: str
    superuser: bool


async def _server(admin: Any) -> _Server:
    [row] = await admin.fetch(
        "SELECT current_setting('server_version_num')::int / 10000, current_user::text, "
        "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user)"
    )
    server = _Server(*row)
    if server.version < POSTGRES:
        raise DatabaseUnavailable(
            f"the server is PostgreSQL {server.version}, and {POSTGRES} is the least: update it"
        )
    return server


async def _roles_and_database(admin: Any, wanted: _Wanted, server: _Server) -> Sequence[Step]:
    roles = {row[0] for row in await admin.fetch("SELECT rolname FROM pg_roles")}
    steps = [
        Step(f"make the role {role}", f"CREATE ROLE {role} NOLOGIN NOINHERIT")
        for role in (SCHEMA_ROLE, *_TAKEN_ON)
        if role not in roles
    ]
    user = _name(wanted.user)
    if wanted.user not in roles:
        secret = f" PASSWORD {_text(wanted.password)}" if wanted.password else ""
        made = f"CREATE ROLE {user} LOGIN NOINHERIT{secret}"
        steps.append(Step(f"make the user {wanted.user}, who logs in", made))
    member = (
        "SELECT 1 FROM pg_auth_members WHERE roleid = to_regrole($1) AND member = to_regrole($2)"
    )
    for role in _TAKEN_ON:
        if not await _is(admin, member, role, user):
            how = " WITH INHERIT FALSE, SET TRUE" if server.version >= 16 else ""
            granted = f"GRANT {role} TO {user}{how}"
            steps.append(Step(f"let {wanted.user} take on {role}", granted))
    if not server.superuser and not await _is(admin, member, SCHEMA_ROLE, _name(server.user)):
        steps.append(
            Step(f"let {server.user} take on {SCHEMA_ROLE}", f"GRANT {SCHEMA_ROLE} TO CURRENT_USER")
        )
    if not await _is(admin, "SELECT 1 FROM pg_database WHERE datname = $1", wanted.database):
        locale = "LC_COLLATE 'C' LC_CTYPE 'C'"
        if server.version >= 17:
            locale += " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
        steps.append(
            Step(
                f"make the database {wanted.database}, owned by {SCHEMA_ROLE}",
                f"CREATE DATABASE {_name(wanted.database)} OWNER {SCHEMA_ROLE} "
                f"TEMPLATE template0 ENCODING 'UTF8' {locale if server.version >= 17 else ''}",
            )
        )
    return steps


def _inside(wanted: _Wanted, server: _Server) -> Iterator[tuple[str, Step]]:
    """Within the database: how to see that it is so, and what to do if it is not."""
    database, user = _name(wanted.database), _name(wanted.user)
    yield (
        "SELECT 1 FROM pg_extension WHERE extname = 'vector'",
        Step("add pgvector", "CREATE EXTENSION vector"),
    )
    may = "SELECT 1 FROM pg_database, aclexplode(datacl) AS may WHERE datname = current_database()"
    yield (
        f"{may} AND may.grantee = to_regrole({_text(user)}) AND may.privilege_type = 'CONNECT'",
        Step(
            f"let {wanted.user} connect, and not everybody",
            f"REVOKE ALL ON DATABASE {database} FROM PUBLIC; "
            f"GRANT CONNECT ON DATABASE {database} TO {user}",
        ),
    )
    if server.superuser:
        # Otherwise row-level security keeps the planner from its indexes: it cannot know that the
        # operators @@ and @> say nothing of rows that are not to be seen.
        for what, function, arguments in _TRUSTED:
            known = f"oid = {_text(function)}::regproc"
            yield (
                f"SELECT 1 FROM pg_proc WHERE {known} AND proleakproof",  # noqa: S608 (our own)
                Step(
                    f"let {what} use their index under row-level security",
                    f"ALTER FUNCTION pg_catalog.{function}({arguments}) LEAKPROOF",
                ),
            )


async def _take(connection: Any, steps: Sequence[Step], dry_run: bool) -> list[Step]:
    for step in steps:
        if not dry_run:
            await connection.execute(step.sql)
    return list(steps)


async def _check_pgvector(inside: Any) -> None:
    [(version,)] = await inside.fetch(
        "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    )
    if tuple(int(part) for part in version.split(".")[:2]) < PGVECTOR:
        raise DatabaseUnavailable(
            f"pgvector is {version}, and 0.8 is the least: update it, then ALTER EXTENSION vector "
            "UPDATE"
        )


async def _is(connection: Any, sql: str, *args: str) -> bool:
    return bool(await connection.fetch(sql, *args))


@asynccontextmanager
async def _connected(url: str) -> AsyncGenerator[Any]:
    with translated(without_password(url)):
        connection = await asyncpg.connect(url, timeout=10, statement_cache_size=0)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)


def same_database(admin_url: str, url: str) -> str:
    """The database of `url`, on the server and as the user of `admin_url`."""
    return _to(admin_url, _Wanted.of(url).database)


def _to(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
