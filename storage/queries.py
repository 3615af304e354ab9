"""SQL files: statements with names, kept apart from the code that runs them.

    -- name: get_item
    -- What it does, for people to read.
    SELECT ...

Placeholders are `$1`, `$2`, ...; SQLite, which wants `?1`, gets them rewritten.
"""

import re
from importlib.resources import files
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


def load(package: str, name: str) -> dict[str, str]:
    """The statements of `name` in `package`, by their names."""
    parts = _NAME.split(files(package).joinpath(name).read_text(encoding="utf-8"))
    found = {}
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        lines = [line for line in body.splitlines() if not line.startswith("--")]
        found[title] = "\n".join(lines).strip().rstrip(";")
    return found
