"""What the page is told, as JSON. The names of the fields are the page's too."""

from typing import Final

import msgspec

from presence.metrics import LogFigures, QueueFigures, Sample
from presence.roster import AgentView
from presence.text import clean

from .database import DatabaseRow

#: Extra fields of a state that are shown.
MOST_FIELDS: Final = 12


class AgentRow(msgspec.Struct, frozen=True):
    """An agent, or one of its instances, that is here. Times in seconds since the epoch, `ttl` in
    seconds.

    Attributes:
        id: Tells it from all others; `name` is the agent's own id.
        shared: Whether several instances may be this agent.
        stalled_since: Since when it beats without making progress, or None.
    """

    id: str
    name: str
    shared: bool
    role: str | None
    capabilities: list[str]
    status: str
    activity: str | None
    mood: str | None
    valence: float | None
    arousal: float | None
    session: str | None
    fields: dict[str, str]
    progress: str | None
    progress_at: float | None
    stalled_since: float | None
    instance: str
    host: str
    pid: int
    since: float
    ttl: float


class GoneRow(msgspec.Struct, frozen=True):
    """An agent that was here: `how` it went (`left` or `expired`), and when."""

    key: str
    id: str
    name: str
    role: str | None
    status: str
    activity: str | None
    host: str
    pid: int
    since: float
    how: str
    at: float
    cause: str | None


class Happening(msgspec.Struct, frozen=True):
    """A line of the list of events."""

    id: str
    kind: str
    agent: str
    detail: str
    at: float


class Metrics(msgspec.Struct, frozen=True):
    """Everything that is counted.

    Attributes:
        present: Everybody who is here; `services` of them are sidecars.
        working: Agents at work; `stalled` beat, and make no progress.
        beats: Seconds since an agent's last heartbeat.
    """

    at: float
    present: int
    services: int
    working: int
    stalled: int
    queues: list[QueueFigures]
    queues_total: int
    logs: list[LogFigures]
    beats: dict[str, float]
    databases: list[DatabaseRow]


class RedisStatus(msgspec.Struct, frozen=True):
    """Whether Redis answers, and since when that is so."""

    up: bool
    since: float
    detail: str


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """What has changed since the last message.

    Attributes:
        agents, gone, events: New, or in place of the ones of the same id or key.
        left, forgotten: Ids of agents and keys of gone ones that are no longer shown.
        metrics, redis: None where nothing is new.
    """

    now: float
    agents: list[AgentRow] = []
    left: list[str] = []
    gone: list[GoneRow] = []
    forgotten: list[str] = []
    events: list[Happening] = []
    metrics: Metrics | None = None
    redis: RedisStatus | None = None


class Snapshot(Update, frozen=True, kw_only=True):
    """Everything, for a page that has just come."""

    namespace: str
    server: str


def shown_queues(sample: Sample) -> list[QueueFigures]:
    """The queues of a sample, their names cleaned."""
    return [msgspec.structs.replace(queue, name=clean(queue.name, 128)) for queue in sample.queues]


def shown_id(agent: str) -> str:
    """The id under which the page knows an agent: whatever it is told of one names this."""
    return clean(agent, 200)


def agent_row(agent: str, view: AgentView) -> AgentRow:
    """The agent with the id `agent` as the page shows it, cleaned."""
    presence, state = view.presence, view.state
    return AgentRow(
        id=shown_id(agent),
        name=clean(presence.agent, 128),
        shared=presence.shared,
        capabilities=[clean(name, 40) for name in presence.capabilities[:MOST_FIELDS]],
        role=clean(presence.role, 60) if presence.role else None,
        status=clean(state.status, 30),
        activity=clean(state.activity, 240) if state.activity else None,
        mood=clean(state.mood, 60) if state.mood else None,
        valence=state.valence,
        arousal=state.arousal,
        session=clean(state.session_key, 60) if state.session_key else None,
        fields={
            clean(name, 40): clean(value, 120)
            for name, value in list(state.fields.items())[:MOST_FIELDS]
        },
        progress=clean(state.progress, 120) if state.progress else None,
        progress_at=state.progress_at,
        stalled_since=state.stalled_since,
        instance=clean(presence.instance, 64),
        host=clean(presence.host, 80),
        pid=presence.pid,
        since=presence.since,
        ttl=presence.ttl,
    )


def gone_key(agent: str, view: AgentView) -> str:
    """Tells one instance of an agent from another."""
    return f"{shown_id(agent)} {clean(view.presence.instance, 64)}"


def gone_row(agent: str, view: AgentView, *, how: str, at: float, cause: str | None) -> GoneRow:
    """An agent that went, as the page shows it."""
    row = agent_row(agent, view)
    return GoneRow(
        key=gone_key(agent, view),
        id=row.id,
        name=row.name,
        role=row.role,
        status=row.status,
        activity=row.activity,
        host=row.host,
        pid=row.pid,
        since=row.since,
        how=how,
        at=at,
        cause=clean(cause, 120) if cause and cause != how else None,
    )
