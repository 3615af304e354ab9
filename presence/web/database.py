"""Counts in the databases, from what the sidecars say of themselves."""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from presence.roster import AgentView
from presence.text import clean

ROLE: Final = "sidecar"
#: Partitions of the write log that are measured.
MOST_PARTITIONS: Final = 64


class DatabaseRow(msgspec.Struct, frozen=True):
    """One database, as its sidecars report it.

    Attributes:
        backend: `sqlite`, `postgres`, ...
        memory_items, tasks: Rows in it, by the newest report. None where nobody said.
        committed: Commands committed by these sidecars since they were started.
        lag: Entries of the write log that they have not committed.
        partitions: Those that are held, together.
        sidecars: Their ids.
        error: What is wrong with the database, by the newest report.
        at: When the newest report was made, in seconds since the epoch.
        gone: True where none of the sidecars is here any more.
    """

    backend: str
    memory_items: int | None
    tasks: int | None
    committed: int | None
    lag: int | None
    partitions: str
    sidecars: list[str]
    error: str | None
    at: float
    gone: bool = False


def databases(agents: Iterable[AgentView]) -> list[DatabaseRow]:
    """A row for each backend that some sidecar among `agents` writes to, by name."""
    by_backend: dict[str, list[AgentView]] = {}
    for view in agents:
        # One that has just joined has not said yet what it writes to.
        if view.presence.role == ROLE and (backend := view.state.fields.get("backend")):
            by_backend.setdefault(clean(backend, 40), []).append(view)
    return [_row(backend, views) for backend, views in sorted(by_backend.items())]


def partitions(rows: Iterable[DatabaseRow]) -> list[int]:
    """Numbers of the partitions that are held, in order."""
    held = {number for row in rows for number in _numbers(row.partitions)}
    return sorted(held)[:MOST_PARTITIONS]


def _row(backend: str, views: list[AgentView]) -> DatabaseRow:
    newest = max(views, key=lambda view: view.state.last_activity)
    held = {number for view in views for number in _numbers(view.state.fields.get("partitions"))}
    error = newest.state.fields.get("error")
    return DatabaseRow(
        backend=backend,
        memory_items=_count(newest, "memory_items"),
        tasks=_count(newest, "tasks"),
        committed=_total(views, "committed"),
        lag=_total(views, "lag"),
        partitions=", ".join(str(number) for number in sorted(held)),
        sidecars=sorted(clean(view.presence.agent, 60) for view in views),
        error=clean(error, 300) if error else None,
        at=newest.state.last_activity,
    )


def _count(view: AgentView, name: str) -> int | None:
    text = view.state.fields.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text, re.ASCII) else None


def _total(views: list[AgentView], name: str) -> int | None:
    known = [count for view in views if (count := _count(view, name)) is not None]
    return sum(known) if known else None


def _numbers(text: str | None) -> set[int]:
    return {int(part) for part in re.findall(r"\b[0-9]{1,4}\b", (text or "")[:2000], re.ASCII)}
