"""No secret is in any log, span or error, whatever goes wrong with it."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from argentbus.embedded import free_port
from bus import Bus, BusError, ServerRefused, Signing, SigningKeyUnusable
from bus.blocking import Bus as BlockingBus
from bus.messages.envelope import wrap
from tests.bus.watched import Job, Watched
from tests.conftest import RedisServer
from tests.shell import Shell
from tests.waiting import eventually

PASSWORD = "hunter2-is-secret"
WRONG = "swordfish-is-secret"
SECRET = b"sixteen-or-more-bytes"
MASTER = b"the-master-of-them-all"


class Everything(logging.Handler):
    """All that anybody logs at any level, with tracebacks, facts and arguments."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.said: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.said += [self.format(record), repr(record.msg), repr(record.args)]


@pytest.fixture
def everything() -> Iterator[Everything]:
    handler, root = Everything(), logging.getLogger()
    names = ["", "argentbus", "coredis", "redis", "asyncio", "asyncpg", "opentelemetry"]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(1)
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def secrets() -> set[str]:
    keys = {key.decode() for key in (SECRET, MASTER)} | {key.hex() for key in (SECRET, MASTER)}
    return {PASSWORD, WRONG, *keys, *map(repr, (SECRET, MASTER))}


def check(*texts: str) -> None:
    shown = [text for text in texts for secret in secrets() if secret in text]
    assert shown == []


def chain(error: BaseException | None) -> Iterator[str]:
    """An error, and what it came from."""
    while error is not None:
        yield f"{error!r} {error}"
        error = error.__cause__ or error.__context__


def url(server: RedisServer, password: str) -> str:
    return f"redis://scout:{password}@127.0.0.1:{server.port}"


@pytest.fixture
async def guarded(own_redis: RedisServer, namespace: str) -> RedisServer:
    """A server with a user who has a password."""
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        await bus.link.everywhere(
            "ACL", "SETUSER", "scout", "on", f">{PASSWORD}", "~*", "&*", "+@all"
        )
    return own_redis


@pytest.mark.anyio
async def test_the_password_of_a_server_is_told_nobody(
    guarded: RedisServer, namespace: str, watched: Watched, everything: Everything
) -> None:
    errors: list[BaseException] = []
    with pytest.raises(ServerRefused) as refused:
        async with Bus.connect(url(guarded, WRONG), namespace=namespace):
            raise AssertionError
    errors.append(refused.value)
    nowhere = f"redis://scout:{PASSWORD}@127.0.0.1:{free_port()}"
    with pytest.raises(BusError) as away:
        async with Bus.connect(nowhere, namespace=namespace, patience=0.1):
            raise AssertionError
    errors.append(away.value)
    for garbled in (f"redis://scout:{PASSWORD}@:x:y", f"http://scout:{PASSWORD}@127.0.0.1"):
        with pytest.raises(BusError) as garbage:
            async with Bus.connect(garbled):
                raise AssertionError
        errors.append(garbage.value)

    async with watched.connect(guarded, namespace, patience=0.3) as _:
        pass
    async with Bus.connect(
        url(guarded, PASSWORD), namespace=namespace, patience=0.3, telemetry=watched.telemetry
    ) as bus:
        queue = bus.queue("jobs", Job)
        await queue.put(Job(1))
        async with queue.consume("workers") as deliveries:
            async with await anext(deliveries):
                raise LookupError("the handler's own trouble")
            guarded.kill()
            with pytest.raises(BusError) as broken:
                await queue.put(Job(2))
            errors.append(broken.value)
            before = len(everything.said)
            await eventually(lambda: len(everything.said) > before)  # it says that it is away
            check(repr(bus), repr(bus.link.address), str(bus.link.address), repr(queue))
    assert any("a handler failed" in text for text in everything.said)
    assert any("coredis" in text or "reading a queue" in text for text in everything.said)
    spans = [span.to_json() for span in watched.spans()]
    assert len(spans) >= 3
    check(*everything.said, *spans, *(text for error in errors for text in chain(error)))


@pytest.mark.anyio
async def test_signing_secrets_are_told_nobody(
    redis_server: Any, namespace: str, watched: Watched, everything: Everything
) -> None:
    errors: list[BaseException] = []
    with pytest.raises(SigningKeyUnusable) as short:
        Signing({"scout": SECRET[:8]})
    errors.append(short.value)
    signing = Signing({"scout": SECRET}, master=MASTER)
    async with watched.connect(redis_server, namespace, signing=signing) as bus:
        queue = bus.queue("jobs", Job, sender="scout")
        await queue.put(Job(1))
        await queue.put_message(wrap(Job(2), sender="scout")[1])
        await queue.put_message(
            wrap(Job(3), sender="eve", signing=Signing({"eve": SECRET}), destination="x")[1]
        )
        await queue.put(Job(4))
        async with queue.consume("workers") as deliveries:
            for _ in range(2):
                with anyio.fail_after(10):
                    async with await anext(deliveries) as delivery:
                        raise LookupError(str(delivery))
        assert sum("was buried" in text for text in everything.said) >= 2
        check(repr(signing), repr(bus), *(dead.reason for dead in await queue.dead_letters()))
    check(*everything.said, *(span.to_json() for span in watched.spans()))
    check(*(text for error in errors for text in chain(error)))


def test_threads_tell_nobody_either(
    own_redis: RedisServer, namespace: str, everything: Everything
) -> None:
    with pytest.raises(BusError) as wrong:
        BlockingBus.connect(url(own_redis, WRONG), namespace=namespace)
    nowhere = f"redis://scout:{PASSWORD}@127.0.0.1:{free_port()}"
    with pytest.raises(BusError) as away:
        BlockingBus.connect(nowhere, namespace=namespace, patience=0.1)
    check(*everything.said, *chain(wrong.value), *chain(away.value))


@pytest.mark.parametrize("form", ["text", "json"])
def test_our_processes_tell_nobody(
    own_redis: RedisServer, shell: Shell, tmp_path: Path, form: str
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"* {MASTER.hex()}\n")
    keys.chmod(0o600)
    options = ("--log-format", form, "--log-level", "debug")
    postgres = f"postgresql://argentbus:{PASSWORD}@127.0.0.1:{free_port()}/argentbus"
    env = {"ARGENTBUS_SIGNING_KEY_FILE": str(keys), "ARGENTBUS_POSTGRES_URL": postgres}
    told = [
        shell.run(*options, "sidecar", "--redis-url", url(own_redis, WRONG), **env),
        shell.run(*options, "agents", "--redis-url", url(own_redis, WRONG), **env),
        shell.run(
            *options, "sidecar", "--backend", "postgres", "--redis-url", own_redis.url, **env
        ),
    ]
    for ended in told:
        assert ended.returncode == 1
        assert ended.stderr
        check(ended.stdout, ended.stderr)
