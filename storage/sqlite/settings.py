"""What a SQLite file says of itself, where PostgreSQL's types do: the dimension of its vectors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from storage.errors import SchemaMismatch

#: The statement whose rows `dimensions_of` takes, and the one that changes what they say.
STORED: Final = "SELECT value FROM settings WHERE name = 'dimensions'"
STORE: Final = "UPDATE settings SET value = $1 WHERE name = 'dimensions'"


def dimensions_of(rows: Sequence[Any], path: Path) -> int:
    """The dimension of the vectors of the file `path`.

    Raises:
        SchemaMismatch: it says none.
    """
    value = str(rows[0][0]) if rows else ""
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise SchemaMismatch(
            f"SQLite file {path} does not say which dimension its vectors have (its table settings "
            f"has {ascii(value)[:40]}): restore a backup, or put the number back there"
        )
    return int(value)
