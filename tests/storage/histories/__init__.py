"""Random commands for each part of storage, so that any history can be compared on two databases.

Each module has `plans`, a strategy of tuples that begin with a word of its own, `command`, which
makes the n-th command of a history from one of them, and `reads`, what is asked afterwards. Most
histories begin with the plans in `FIRST`, where there are some. Ids are few, so that commands hit
each other's rows.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def moment(n: int) -> datetime:
    """When the n-th command of a history is given."""
    return START + timedelta(seconds=n)
