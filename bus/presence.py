"""Who is present, and in what state: the records that the bus keeps of its agents."""

import time
from typing import Any, Final, Literal

import msgspec

#: The states of an agent that dashboards know.
STATUSES: Final = ("idle", "processing", "contemplating", "offline")

EventKind = Literal["joined", "left", "expired", "changed"]


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """One agent that is present. JSON in Redis, for other programs to read.

    Attributes:
        instance: Id of the instance that joined. It comes first in the JSON: scripts tell the
            owner of a record by how it begins.
        agent: Id of the agent.
        since: When it joined, in seconds since the epoch.
        ttl: Seconds without a heartbeat after which it counts as gone.
    """

    instance: str
    agent: str
    role: str | None = None
    host: str = ""
    pid: int = 0
    since: float = 0.0
    ttl: float = 30.0

    @property
    def beginning(self) -> str:
        """How the JSON of every record of this instance begins."""
        return f'{{"instance":"{self.instance}"'


class AgentState(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says of itself.

    Attributes:
        status: One of `STATUSES`.
        activity: What it is doing, in words.
        valence, arousal: Its mood as numbers, -2 to 2 and 0 to 1.
        last_activity: When it last said something, in seconds since the epoch.
        fields: Whatever else it says, as text.
    """

    instance: str = ""
    status: str = "idle"
    activity: str | None = None
    mood: str | None = None
    valence: float | None = None
    arousal: float | None = None
    session_key: str | None = None
    last_activity: float = 0.0
    fields: dict[str, str] = {}

    def with_changes(self, **changes: Any) -> "AgentState":
        """A copy with `changes`; what has no field of its own goes into `fields`, as text.

        Raises:
            ValueError: an unknown status, a mood out of range or not a number.
        """
        for name in ("valence", "arousal"):
            if not isinstance(changes.get(name), int | float | None):
                raise ValueError(f"{name} is {changes[name]!r}: it is a number")  # noqa: TRY004
        fields = dict(self.fields)
        own: dict[str, Any] = {"last_activity": time.time()}
        for name, value in changes.items():
            if name in _OWN_FIELDS:
                own[name] = _storable(value) if isinstance(value, str) else value
            elif value is None:
                fields.pop(_storable(name), None)
            else:
                fields[_storable(name)] = _storable(str(value))
        state = msgspec.structs.replace(self, **own, fields=fields)
        if state.status not in STATUSES:
            raise ValueError(f"status is {state.status!r}: use one of {', '.join(STATUSES)}")
        if state.valence is not None and not -2 <= state.valence <= 2:
            raise ValueError(f"valence is {state.valence}: it goes from -2 to 2")
        if state.arousal is not None and not 0 <= state.arousal <= 1:
            raise ValueError(f"arousal is {state.arousal}: it goes from 0 to 1")
        return state

    def to_hash(self) -> dict[str, str]:
        """The state as the fields of a Redis hash; what is None is left out."""
        own = {
            name: str(value) for name in _OWN_FIELDS if (value := getattr(self, name)) is not None
        }
        return own | {"instance": self.instance} | {f"+{k}": v for k, v in self.fields.items()}


def _storable(text: str) -> str:
    """The text, with what UTF-8 has no bytes for (as in names of files) written as escapes."""
    return text.encode(errors="backslashreplace").decode()


_OWN_FIELDS: Final = (
    "status",
    "activity",
    "mood",
    "valence",
    "arousal",
    "session_key",
    "last_activity",
)


def state_from_hash(pairs: dict[bytes, bytes]) -> AgentState:
    """Read a state hash. Fields that make no sense are left at their defaults."""
    text = {
        name.decode(errors="replace"): value.decode(errors="replace")
        for name, value in pairs.items()
    }
    return AgentState(
        instance=text.get("instance", ""),
        status=text["status"] if text.get("status") in STATUSES else "idle",
        activity=text.get("activity"),
        mood=text.get("mood"),
        valence=_number(text.get("valence")),
        arousal=_number(text.get("arousal")),
        session_key=text.get("session_key"),
        last_activity=_number(text.get("last_activity")) or 0.0,
        fields={name[1:]: value for name, value in text.items() if name.startswith("+")},
    )


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


class PresenceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to an agent.

    Attributes:
        kind: `joined`, `left` (it said so, or was taken over), `expired` (its heartbeat stopped)
            or `changed` (its state).
        presence: Its record, where there is one (not for `changed`).
        state: Its state, for `changed`.
        at: By the server's clock, in seconds since the epoch.
        id: Of the event: where to go on reading.
        cause: Why it left or expired.
    """

    kind: EventKind
    agent: str
    instance: str
    presence: Presence | None
    state: AgentState | None
    at: float
    id: str
    cause: str | None


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
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def read_event(entry_id: bytes, fields: list[bytes]) -> PresenceEvent | None:
    """Decode an entry of the events stream; None where it is not an event."""
    pairs = dict(zip(fields[::2], fields[1::2], strict=False))
    kind = _KINDS.get(pairs.get(b"kind", b""))
    agent = pairs.get(b"agent", b"").decode(errors="replace")
    if kind is None or not agent:
        return None
    presence = read_presence(pairs.get(b"presence", b""))
    state = None
    if kind == "changed":
        try:
            state = _decode_state(pairs.get(b"state", b""))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
    known = presence or state
    cause = pairs.get(b"cause")
    return PresenceEvent(
        kind=kind,
        agent=agent,
        instance=known.instance if known else "",
        presence=presence,
        state=state,
        at=int(entry_id.split(b"-")[0]) / 1000,
        id=entry_id.decode(),
        cause=cause.decode(errors="replace") if cause else None,
    )
