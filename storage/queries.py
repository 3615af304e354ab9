"""SQL files: statements with names, kept apart from the code that runs them.

    -- name: get_item
    -- What it does, for people to read.
    SELECT ...

Placeholders are `$1`, `$2`, ...; SQLite, which wants `?1`, gets them rewritten. `{visible_tasks}`
stands for the fragment of that name in `scope.sql`, `{shared lessons}` for the fragment `shared`
with `lessons` in the place of `this`. `{where}` stays, for a caller's condition (`where.py`).
"""

import re
from functools import cache
from importlib.resources import files
from typing import Final

from .where import PLACE

_NAME: Final = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)
_FRAGMENT: Final = re.compile(r"\{(\w+)(?: (\w+))?\}")
_THIS: Final = re.compile(r"(?<![a-zA-Z0-9])this(?![a-zA-Z0-9])")


def load(package: str, name: str, *, this: str = "this", visible: str = "") -> dict[str, str]:
    """The statements of `name` in `package`, by their names.

    Args:
        this: A table: what stands in the place of `this` in statements that serve several.
        visible: The fragment that says which of its rows are to be seen: what stands in the place
            of `{visible}`.
    """

    def fragment(match: re.Match[str]) -> str:
        if match[0] == PLACE:
            return PLACE
        title = visible if match[1] == "visible" else match[1]
        return _THIS.sub(match[2] or this, _fragments()[title])

    return {
        title: _FRAGMENT.sub(fragment, _THIS.sub(this, statement))
        for title, statement in _statements(package, name).items()
    }


@cache
def _fragments() -> dict[str, str]:
    return _statements("storage", "scope.sql")


def _statements(package: str, name: str) -> dict[str, str]:
    parts = _NAME.split(files(package).joinpath(name).read_text(encoding="utf-8"))
    found = {}
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        lines = [line for line in body.splitlines() if not line.startswith("--")]
        found[title] = "\n".join(lines).strip().rstrip(";")
    return found
