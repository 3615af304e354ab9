"""Who is present, and in what state: the records that the bus keeps of its agents."""

from typing import Final, Literal

import msgspec

from .state import AgentState

#: What stands between an agent's id and the instance, in the name of one instance among several.
SHARED: Final = "#"

EventKind = Literal["joined", "left", "expired", "changed"]


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """One agent, or one of an agent's instances, that is present. JSON in Redis, for other programs
    to read.

    Attributes:
        instance: Id of the instance that joined. It comes first in the JSON: scripts tell the
            owner of a record by how it begins.
        agent: Id of the agent.
        role: What kind of agent it is.
        capabilities: What it can do, sorted.
        shared: Whether other instances of the same agent may be present beside it.
        since: When it joined, in seconds since the epoch.
        ttl: Seconds without a heartbeat after which it counts as gone.
        inbox: Whether it reads what others send it.
        stall_after: Seconds without progress after which it counts as stalled, or None.
        estate: Names what its process holds, to be given up when it is declared dead.
        host, pid: Where it runs: the machine's name, and the process's id.

    Example: See `Registry`.
    """

    instance: str
    agent: str
    role: str | None = None
    capabilities: tuple[str, ...] = ()
    shared: bool = False
    inbox: bool = True
    host: str = ""
    pid: int = 0
    since: float = 0.0
    ttl: float = 30.0
    stall_after: float | None = None
    estate: str = ""

    @property
    def beginning(self) -> str:
        """How the JSON of every record of this instance begins."""
        return f'{{"instance":"{self.instance}"'

    @property
    def member(self) -> str:
        """The name under which it is listed: the agent's id, and where several instances may share
        that, `<id>#<instance>`.
        """
        return f"{self.agent}{SHARED}{self.instance}" if self.shared else self.agent


class PresenceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to an agent.

    Attributes:
        kind: `joined`, `left` (it said so, or was taken over), `expired` (its heartbeat stopped)
            or `changed` (its state).
        agent: Id of the agent.
        instance: Id of the instance, or empty where it is not known.
        shared: Whether several instances may be that agent together.
        member: The agent's id, or `<id>#<instance>` for one of several instances.
        presence: Its record, where there is one (not for `changed`).
        state: Its state, for `changed`.
        at: By the server's clock, in seconds since the epoch.
        id: Of the event: where to go on reading.
        cause: Why it left or expired.

    Example: See `Registry`.
    """

    kind: EventKind
    agent: str
    instance: str
    shared: bool = False
    presence: Presence | None
    state: AgentState | None
    at: float
    id: str
    cause: str | None

    @property
    def member(self) -> str:
        return f"{self.agent}{SHARED}{self.instance}" if self.shared else self.agent


_KINDS: Final[dict[bytes, EventKind]] = {
    b"joined": "joined",
    b"left": "left",
    b"expired": "expired",
    b"changed": "changed",
}

_decode_presence = msgspec.json.Decoder(Presence).decode
_decode_state = msgspec.json.Decoder(AgentState).decode


def read_presence(raw: bytes) -> Presence | None:
    """Decode a presence record; None where the bytes are not one."""
    try:
        return _decode_presence(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def read_event(entry_id: bytes, fields: list[bytes]) -> PresenceEvent | None:
    """Decode an entry of the events stream; None where it is not an event."""
    pairs = dict(zip(fields[::2], fields[1::2], strict=False))
    kind = _KINDS.get(pairs.get(b"kind", b""))
    member = pairs.get(b"agent", b"").decode(errors="replace")
    agent, mark, instance = member.partition(SHARED)
    if kind is None or not agent:
        return None
    presence = read_presence(pairs.get(b"presence", b""))
    state = None
    if kind == "changed":
        try:
            state = _decode_state(pairs.get(b"state", b""))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
    known = presence or state
    cause = pairs.get(b"cause")
    return PresenceEvent(
        kind=kind,
        agent=agent,
        instance=instance or (known.instance if known else ""),
        shared=bool(mark),
        presence=presence,
        state=state,
        at=int(entry_id.split(b"-")[0]) / 1000,
        id=entry_id.decode(),
        cause=cause.decode(errors="replace") if cause else None,
    )
