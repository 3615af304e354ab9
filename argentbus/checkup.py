"""What `argentbus doctor` looks at."""

import os
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from bus import Bus, BusError
from presence.text import clean
from storage import StorageError, open_storage
from storage.config import StorageConfig

from .backlogs import backlog, is_log
from .discovery import LOCK, check_redis_is_known, find, is_held
from .embedded.redis import port_is_taken
from .errors import NothingUp, PortTaken

#: Bytes free on the disk below which it is worth a note.
LITTLE_SPACE: Final = 1 << 30


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        verdict: `fine`; `note`, what one should know; `fault`, what has to be mended.
    """

    subject: str
    verdict: Literal["fine", "note", "fault"]
    detail: str


async def checkup(config: StorageConfig) -> list[Finding]:
    """Look at everything, and go on where something is at fault."""
    findings = [_settings(config), *_directory(config), _running(config)]
    if config.backend != "sqlite":
        findings.append(await _postgres(config))
    url = config.settings()["redis_url"]
    try:
        check_redis_is_known(config)
    except NothingUp as error:
        return [*findings, Finding("redis", "fault", str(error))]
    try:
        async with Bus.connect(config.redis_url, namespace=config.namespace, patience=5.0) as bus:
            findings.append(Finding("redis", "fine", f"{bus.server_version} at {url}"))
            findings += await persistence(bus)
            findings.append(await _sidecars(bus))
            findings += await _dead_letters(bus)
    except BusError as error:
        findings.append(Finding("redis", "fault", str(error)))
    return findings


def _settings(config: StorageConfig) -> Finding:
    given = [f"{name} from {source}" for name, source in config.sources.items()]
    said = ", ".join(given) if given else "all at their defaults"
    return Finding("settings", "fine", f"backend {config.backend}; {said}")


def _directory(config: StorageConfig) -> list[Finding]:
    findings = []
    looked_at = {"data": config.home}
    if config.backend != "postgres":
        looked_at["database"] = config.sqlite_path.parent
    for subject, path in looked_at.items():
        existing = _nearest(path)
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            findings.append(
                Finding(subject, "fault", f"{existing} cannot be written: choose another directory")
            )
            continue
        free = shutil.disk_usage(existing).free
        verdict: Literal["fine", "note"] = "note" if free < LITTLE_SPACE else "fine"
        state = "" if path.exists() else ", to be made"
        findings.append(Finding(subject, verdict, f"{path}{state}: {free >> 20:,} MiB free"))
    return findings


def _nearest(path: Path) -> Path:
    return next(candidate for candidate in (path, *path.parents) if candidate.exists())


def _running(config: StorageConfig) -> Finding:
    running = find(config.home)
    if running is not None:
        return Finding("up", "fine", f"process {running.pid}, dashboard {running.dashboard_url}")
    if is_held(config.home):
        detail = (
            f"processes of an earlier copy still run: see `lsof {config.home / LOCK}`, end them"
        )
        return Finding("up", "fault", detail)
    taken = []
    for port in (6380, 8377):
        try:
            if port_is_taken(port):
                taken.append(str(port))
        except PortTaken as error:
            return Finding("up", "note", str(error))
    if taken:
        ports = " and ".join(taken)
        return Finding("up", "note", f"not running here; something else uses port {ports}")
    return Finding("up", "note", "not running on this data directory; its ports are free")


async def _postgres(config: StorageConfig) -> Finding:
    """Whether it can be opened as the sidecar opens it."""
    shown = config.settings()["postgres_url"]
    try:
        async with open_storage(config) as storage:
            count = await storage.stats()
    except StorageError as error:
        return Finding("postgres", "fault", str(error))
    detail = f"{shown}: {count.memory_items:,} memory items, {count.tasks:,} tasks"
    return Finding("postgres", "fine", detail)


async def persistence(bus: Bus) -> list[Finding]:
    """Whether Redis keeps what it has acknowledged."""
    names = ("appendonly", "appendfsync", "maxmemory-policy")
    try:
        by_name = [await _settings_of(bus, name) for name in names]
        servers = list(zip(*by_name, strict=True))
    except (BusError, ValueError) as error:
        return [Finding("durability", "note", f"cannot be looked up: {error}")]
    # Of a Cluster's masters, the one that promises least.
    settings = dict(zip(names, min(servers, key=_promise), strict=True))
    if settings["appendonly"] != "yes":
        detail = (
            "appendonly is off: a crash of Redis loses messages and writes that were acknowledged; "
            "turn it on (CONFIG SET appendonly yes, and in redis.conf)"
        )
        return [Finding("durability", "fault", detail), *_eviction(settings)]
    findings = []
    if settings["appendfsync"] == "always":
        findings.append(Finding("durability", "fine", "append-only file, every write is synced"))
    else:
        findings.append(
            Finding(
                "durability",
                "note",
                f"append-only file with appendfsync {settings['appendfsync']}: a power cut can "
                "lose the last second or more; `always` loses nothing",
            )
        )
    return findings + _eviction(settings)


def _eviction(settings: Mapping[str, str]) -> list[Finding]:
    policy = settings["maxmemory-policy"]
    if policy == "noeviction":
        return []
    detail = (
        f"maxmemory-policy is {policy}: Redis may throw messages away when it is full; set it to "
        "noeviction"
    )
    return [Finding("eviction", "fault", detail)]


def _promise(settings: Iterable[str]) -> tuple[bool, bool, bool]:
    appendonly, appendfsync, policy = settings
    return appendonly == "yes", policy == "noeviction", appendfsync == "always"


async def _settings_of(bus: Bus, name: str) -> list[str]:
    """The setting, of every server that takes writes."""
    replies = await bus.link.retrying(lambda: bus.link.everywhere("CONFIG", "GET", name))
    found = []
    for reply in replies:
        values = (
            reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
        )
        found.append(str(values.get(name.encode(), b"unknown").decode()))
    return found


async def _sidecars(bus: Bus) -> Finding:
    snapshot = await bus.registry.snapshot()
    found = [agent for agent in snapshot.agents.values() if agent.role == "sidecar"]
    if not found:
        return Finding(
            "sidecar",
            "note",
            f"none is present in the namespace {bus.namespace}: writes wait in Redis until one "
            "runs (`argentbus sidecar`, or `argentbus up`)",
        )
    errors = [
        f"{agent.agent}: {state.fields['error']}"
        for agent in found
        if (state := snapshot.states.get(agent.agent)) and state.fields.get("error")
    ]
    if errors:
        return Finding("sidecar", "fault", "; ".join(errors))
    oldest = min(agent.since for agent in found)
    return Finding("sidecar", "fine", f"{len(found)} present, up {time.time() - oldest:,.0f} s")


async def _dead_letters(bus: Bus) -> list[Finding]:
    seen = await backlog(bus)
    found = [
        Finding("queues", "fault", f"{clean(name, 128)} is no queue: {why}")
        for name, why in seen.odd.items()
    ]
    if seen.hidden:
        found.append(Finding("queues", "note", seen.in_words()))
    for queue in seen.counted:
        if queue.dead:
            what = "writes that were set aside" if is_log(queue.name) else "dead letters"
            detail = (
                f"{queue.dead} {what} in {queue.name}: see `argentbus queues dead {queue.name}`"
            )
            found.append(Finding("dead", "note", detail))
    return found
