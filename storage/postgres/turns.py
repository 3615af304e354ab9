"""Rows of one INSERT in turns, where several of them change the same row."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from storage.database import Keys


def in_turns(rows: Iterable[Sequence[Any]], keys: Keys) -> Iterator[list[Sequence[Any]]]:
    """Rows in as few lists as can be so that no list has two that share a key.

    PostgreSQL refuses a statement that would change a row twice. Of rows that share a key, the
    earlier one is in an earlier list.
    """
    if not keys:
        found = list(rows)
        if found:
            yield found
        return
    turns: list[list[Sequence[Any]]] = []
    last: dict[tuple[Any, ...], int] = {}
    for row in rows:
        named = [(n, *(row[place] for place in key)) for n, key in enumerate(keys)]
        turn = max(last.get(key, -1) for key in named) + 1
        last.update(dict.fromkeys(named, turn))
        if turn == len(turns):
            turns.append([])
        turns[turn].append(row)
    yield from turns
