"""Rows of agent `a` in every table, and who may see which: a module for each part of storage.

Each has `fill`, which writes the rows; `READS`, what each read of the interface shows to whom; and
`SQL`, what each table shows to whom under the app role of PostgreSQL. `test_isolation` sees that
no read and no table is left out. Agents: `a` owns everything; `b` is in a team with it (`ab`); `c`
in another (`c`); `d` was in a team with it that is disbanded (`ad`); the empty name stands for
operators.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, NamedTuple

from storage.parts import Scoped

AGENTS: Final = ("a", "b", "c", "d")

#: Ids of what is seen, by agent.
Seen = dict[str, set[Any]]


def seen(**by_agent: set[Any]) -> Seen:
    """Who sees what: nobody anything that is not said; operators what `a` does, unless it is."""
    return {agent: by_agent.get(agent, set()) for agent in AGENTS} | {
        "": by_agent.get("operator", by_agent.get("a", set()))
    }


#: Rows named for their visibility, in a table that is shared by it.
VISIBILITIES: Final = ("private", "team", "family", "public")
SHARED: Final = seen(
    a={*VISIBILITIES},
    b={"team", "family", "public"},
    c={"family", "public"},
    d={"family", "public"},
)


class Read(NamedTuple):
    """A read that asks for all that `a` has.

    Attributes:
        ids: Of what it shows in a scope.
        expected: To whom.
    """

    ids: Callable[[Scoped], Awaitable[Iterable[Any]]]
    expected: Seen


class Shown(NamedTuple):
    """A statement under the app role.

    Attributes:
        sql: Its first column is compared.
        expected: To whom; operators see at least two rows, unless nothing is expected of them.
    """

    sql: str
    expected: Seen


async def each(read: Callable[[str], Awaitable[Any]], ids: Iterable[str]) -> list[str]:
    """Those of `ids` for which `read` finds something."""
    return [one for one in ids if await read(one) is not None]
