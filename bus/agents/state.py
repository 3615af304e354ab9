"""What an agent says of itself: its state, with fields of its own, typed where it wants them so."""

import math
import time
from typing import Any, Final, TypeVar

import msgspec

from bus.arguments import shown
from bus.errors import UndecodableMessage

S = TypeVar("S", bound=msgspec.Struct)

#: The states of an agent that dashboards know.
STATUSES: Final = ("idle", "processing", "contemplating", "offline")

_FAULTS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, TypeError)


class AgentState(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says of itself.

    Attributes:
        instance: Id of the instance that says so.
        status: One of `STATUSES`.
        activity: What it is doing, in words.
        mood: In a word, or None.
        valence, arousal: Its mood as numbers, -2 to 2 and 0 to 1.
        last_activity: When it last said something, in seconds since the epoch.
        fields: Whatever else it says, as text.
        progress: What it last got done, in words.
        progress_at: When it last marked progress, in seconds since the epoch; written at most once
            a second or so. None where it never did.
        stalled_since: Since when, in seconds since the epoch, it has been without progress for
            longer than it said it would be (`Presence.stall_after`), although it beats; else None.
        session_key: Of the session that it is in.

    Example:
        await agent.set_state(status="contemplating", mood="curious", pages=17)
        state: AgentState = agent.state
        print(state.status, state.mood, state.fields["pages"])  #> contemplating curious 17
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
    progress: str | None = None
    progress_at: float | None = None
    stalled_since: float | None = None

    @property
    def stalled(self) -> bool:
        """Whether it beats without getting on."""
        return self.stalled_since is not None

    def with_changes(
        self, own_type: type[msgspec.Struct] | None = None, /, **changes: Any
    ) -> "AgentState":
        """A copy with `changes`; what has no field of its own goes into `fields`, as text.

        Args:
            own_type: Declares which other fields there are, and their types.

        Raises:
            ValueError: an unknown status, a mood out of range, a field that is not declared, a
                value of another type.
        """
        fields = dict(self.fields)
        own: dict[str, Any] = {"last_activity": time.time()}
        for name, kind, what in _KINDS:
            if not isinstance(changes.get(name), kind):
                raise ValueError(f"{name} is {shown(changes[name])}: it is {what}")  # noqa: TRY004
        for given, value in changes.items():
            name = _storable(given)
            if name in _SETTABLE:
                own[name] = _storable(value) if isinstance(value, str) else value
                continue
            known = value if own_type is None else checked(own_type, name, value)
            if known is None:
                fields.pop(name, None)
            elif isinstance(known, float) and not math.isfinite(known):
                raise ValueError(f"{name} is {known}: a number has to be finite")
            else:
                fields[name] = _storable(to_text(known))
        state = msgspec.structs.replace(self, **own, fields=fields)
        if state.status not in STATUSES:
            raise ValueError(f"status is {state.status!r}: use one of {', '.join(STATUSES)}")
        if state.valence is not None and not -2 <= state.valence <= 2:
            raise ValueError(f"valence is {state.valence}: it goes from -2 to 2")
        if state.arousal is not None and not 0 <= state.arousal <= 1:
            raise ValueError(f"arousal is {state.arousal}: it goes from 0 to 1")
        return state

    def fields_as(self, own_type: type[S]) -> S:
        """The fields of the agent's own, as the Struct that it joined with (`state=`).

        Raises:
            UndecodableMessage: they are not of that type.
        """
        values = {}
        try:
            for field in msgspec.structs.fields(own_type):
                if field.name in self.fields:
                    values[field.name] = from_text(self.fields[field.name], field.type)
            return msgspec.convert(values, own_type, str_keys=True)
        except _FAULTS as error:
            raise UndecodableMessage(
                f"the state's own fields are not a {own_type.__name__}: {error}"
            ) from error

    def to_hash(self) -> dict[str, str]:
        """The state as the fields of a Redis hash; what is None is left out."""
        own = {
            name: str(value)
            for name in (*_SETTABLE, *_MARKS)
            if (value := getattr(self, name)) is not None
        }
        return own | {"instance": self.instance} | {f"+{k}": v for k, v in self.fields.items()}


_SETTABLE: Final = (
    "status",
    "activity",
    "mood",
    "valence",
    "arousal",
    "session_key",
    "last_activity",
)

#: Of what types they are, and what those are called.
_KINDS: Final = (
    *((name, str | None, "text (a str)") for name in ("activity", "mood", "session_key")),
    ("valence", int | float | None, "a number from -2 to 2"),
    ("arousal", int | float | None, "a number from 0 to 1"),
)

_MARKS: Final = ("progress", "progress_at", "stalled_since")


def own_fields(own: msgspec.Struct | type[msgspec.Struct] | None) -> dict[str, str]:
    """The fields to begin with: those of a Struct, or the defaults of a type of them, as text."""
    if own is None:
        return {}
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(own):
        if isinstance(own, msgspec.Struct):
            values[field.name] = getattr(own, field.name)
        elif field.default is not msgspec.NODEFAULT:
            values[field.name] = field.default
        elif field.default_factory is not msgspec.NODEFAULT:
            values[field.name] = field.default_factory()
    return {name: to_text(value) for name, value in values.items() if value is not None}


def checked(own_type: type[msgspec.Struct], name: str, value: Any) -> Any:
    """Return `value` where `own_type` has a field `name` of its type.

    Raises:
        ValueError: it has not.
    """
    types = {field.name: field.type for field in msgspec.structs.fields(own_type)}
    if name not in types:
        raise ValueError(
            f"{own_type.__name__} has no field {name}: it has {', '.join(sorted(types))}"
        )
    try:
        return msgspec.convert(value, types[name], from_attributes=True)
    except _FAULTS as error:
        raise ValueError(f"{name} of {own_type.__name__}: {error}") from error


def to_text(value: Any) -> str:
    """A value as text that a plain Redis client can read: as it is, or as JSON."""
    if isinstance(value, str):
        return value
    plain = msgspec.to_builtins(value, str_keys=True)
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


def from_text(text: str, kind: Any) -> Any:
    """The value of type `kind` that `to_text` wrote.

    Raises:
        msgspec.MsgspecError: it is not one.
    """
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        return msgspec.json.decode(text.encode(), type=kind)


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
        progress=text.get("progress"),
        progress_at=_number(text.get("progress_at")),
        stalled_since=_number(text.get("stalled_since")),
    )


def _number(text: str | None) -> float | None:
    try:
        number = None if text is None else float(text)
    except ValueError:
        return None
    # Neither nan nor an infinity can be shown, or sent on as JSON.
    return number if number is not None and math.isfinite(number) else None


def _storable(text: str) -> str:
    """The text, with what UTF-8 has no bytes for (as in names of files) written as escapes."""
    return text.encode(errors="backslashreplace").decode()
