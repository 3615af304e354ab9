"""ArgentOS's own SQLite files, `memory.db` and `dashboard.db`: read, and put into our rows.

`SourceFile` reads a file and changes nothing; `rows_for` says which rows of ours stand for one of
theirs; `place_of` where a column goes. Nothing is dropped: what has no table here is kept as JSON.
"""

from .file import SourceFile
from .places import Internal, Place, place_of
from .rows import rows_for

__all__ = ["Internal", "Place", "SourceFile", "place_of", "rows_for"]
