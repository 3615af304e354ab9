"""Imported rows."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from storage.model.command import Command
from storage.model.imports import ForgetRow, ImportedRow, KeepRow, imported_id
from storage.parts import Scoped
from tests.storage.histories import moment

_keys = st.integers(0, 2)
_contents = st.dictionaries(st.sampled_from("ab"), st.none() | st.integers(0, 3), max_size=2)

plans = st.one_of(
    st.tuples(st.just("keep row"), _keys, _contents),
    st.tuples(st.just("forget row"), _keys),
)


def command(n: int, plan: Sequence[Any]) -> Command | None:
    match plan:
        case ("keep row", key, content):
            return KeepRow(
                row=ImportedRow(
                    id=_id(key),
                    agent_id="scout",
                    source="elsewhere",
                    source_table="apples",
                    source_key=str(key),
                    content=content,
                    imported_at=moment(n),
                )
            )
        case ("forget row", key):
            return ForgetRow(agent_id="scout", row_id=_id(key))
    return None


async def reads(view: Scoped) -> list[Any]:
    return [await view.imports.list_rows(), await view.imports.list_rows(source_table="pears")]


def _id(key: int) -> str:
    return imported_id("scout", "elsewhere", "apples", str(key))
