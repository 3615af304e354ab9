"""Reads over the bus: what an agent asks of the sidecar."""

from typing import Any, Final

import msgspec

#: The queue that all sidecars of a namespace answer.
READS: Final = "storage.reads"


class ReadRequest(msgspec.Struct, frozen=True):
    """One read, in the scope of the agent that sends it.

    Attributes:
        part: Of storage: a name in `parts.PARTS`.
        method: Of its reads.
        args: By name.
    """

    part: str
    method: str
    args: dict[str, Any]
