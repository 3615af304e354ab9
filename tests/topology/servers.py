"""Real Clusters and Sentinels, of redis-servers on this machine."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

from argentbus.embedded import free_port
from argentbus.embedded.redis import server_binary
from bus.servers.slots import slot_of
from tests.guarding import guarded

HOST = "127.0.0.1"

#: Milliseconds after which a node counts as gone.
GONE = 1000


class Server:
    """One redis-server process in a directory of its own."""

    def __init__(
        self,
        directory: Path,
        port: int,
        *settings: str,
        binary: Path | None = None,
        password: str | None = None,
    ):
        """Args: `password` is what the settings ask of clients."""
        self.directory = directory
        self.port = port
        self.settings = settings
        self.binary = binary or server_binary()
        self.password = password
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"

    @property
    def known_as(self) -> int:
        """The port at which others know it: that for TLS, where it replicates by TLS."""
        settings = dict(zip(self.settings[::2], self.settings[1::2], strict=True))
        if settings.get("--tls-replication") == "yes":
            return int(settings["--tls-port"])
        return self.port

    def command(self) -> list[str]:
        return [
            *(str(self.binary), "--port", str(self.port), "--bind", HOST, "--save", ""),
            *("--appendfsync", "no", "--repl-diskless-sync-delay", "0", *self.settings),
        ]

    def start(self, *, wait: bool = True) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("ab") as output:
            self.process = guarded(
                subprocess.Popen(
                    self.command(),
                    cwd=self.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        if wait:
            within(10, self.answers, f"the server in {self.directory} does not answer")

    def answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError((self.directory / "log").read_text()[-2000:])
        return self.says("PING").startswith(("+PONG", "-NOAUTH"))

    def says(self, line: str) -> str:
        """The first words of the answer to an inline command; empty where nobody answers."""
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1) as probe:
            probe.sendall(line.encode() + b"\r\n")
            return probe.recv(64).decode()
        return ""

    def call(self, *command: Any) -> Any:
        """One command over a plain client, for what the test itself has to know or do."""
        with redis.Redis(
            port=self.port, password=self.password, socket_timeout=5, decode_responses=True
        ) as client:
            return client.execute_command(*command)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)


class ClusterServers:
    """Masters, each with a replica."""

    def __init__(
        self,
        directory: Path,
        masters: int = 3,
        *,
        replicas: int = 1,
        binary: Path | None = None,
        each: Callable[[], tuple[str, ...]] = tuple,
    ):
        """Args: `each` makes settings for one node more."""
        settings = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(GONE))
        self.servers = [
            Server(directory / str(n), port, *settings, *each(), binary=binary)
            for n, port in enumerate(cluster_ports(masters * (1 + replicas)))
        ]
        self.count = masters

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{server.port}" for server in self.servers[:3])
        return f"redis+cluster://{hosts}"

    def start(self) -> None:
        for server in self.servers:
            server.start(wait=False)
        for server in self.servers:
            within(10, server.answers, "a node does not answer")
        first, *others = self.servers
        for n, server in enumerate(self.servers):
            server.call("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        for server in others:
            first.call("CLUSTER", "MEET", HOST, server.port)
        share = 16384 // self.count
        masters, replicas = self.servers[: self.count], self.servers[self.count :]
        for n, server in enumerate(masters):
            last = 16383 if n == self.count - 1 else (n + 1) * share - 1
            server.call("CLUSTER", "ADDSLOTS", *range(n * share, last + 1))
        for n, server in enumerate(replicas):
            master_id = masters[n % self.count].call("CLUSTER", "MYID")
            within(10, lambda s=server, m=master_id: replicates(s, m), "a node stays unknown")
        self.settle()

    def settle(self) -> None:
        """Wait until all nodes that live agree on a working Cluster, replicas in step."""
        within(20, self.settled, "the Cluster does not come to work")

    def settled(self) -> bool:
        maps = []
        for server in self.servers:
            if not server.alive:
                continue
            try:
                if "cluster_state:ok" not in info_text(server):
                    return False
                maps.append(str(sorted((a, b, m[1]) for a, b, m, *_ in slots(server))))
                if role(server) == "slave" and server.call("ROLE")[3] != "connected":
                    return False
            except redis.RedisError:
                return False
        return len(set(maps)) == 1

    def owner(self, key: str) -> Server:
        """The master that has the slot of `key`, as the nodes that answer see it."""
        return self.owner_of(slot_of(key))

    def owner_of(self, slot: int) -> Server:
        for server in self.servers:
            if server.alive:
                with contextlib.suppress(redis.RedisError):
                    for first, last, master, *_ in slots(server):
                        if first <= slot <= last:
                            return self.at(master[1])
        raise AssertionError(f"nobody has slot {slot}")

    def masters(self) -> list[Server]:
        return [server for server in self.servers if server.alive and role(server) == "master"]

    def move(self, slot: int, target: Server, midway: float = 0.0) -> None:
        """Move one slot with its keys, as `redis-cli --cluster reshard` does.

        For `midway` seconds the keys are there already, and the slot is not.
        """
        self.begin_move(slot, target)
        time.sleep(midway)
        self.end_move(slot, target)

    def begin_move(self, slot: int, target: Server) -> None:
        source = self.owner_of(slot)
        if source is target:
            return
        source_id, target_id = source.call("CLUSTER", "MYID"), target.call("CLUSTER", "MYID")
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 3):
            source.call("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *keys)

    def end_move(self, slot: int, target: Server) -> None:
        source, target_id = self.owner_of(slot), target.call("CLUSTER", "MYID")
        target.call("CLUSTER", "SETSLOT", slot, "NODE", target_id)
        source.call("CLUSTER", "SETSLOT", slot, "NODE", target_id)
        for server in self.masters():
            server.call("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def errors(self, kind: str) -> int:
        """How often the nodes answered with an error of that kind."""
        found = 0
        for server in self.servers:
            with raw(server) as client:
                answer = client.execute_command("INFO errorstats")
            found += sum(map(int, re.findall(rf"errorstat_{kind}:count=(\d+)", answer)))
        return found

    def at(self, port: int) -> Server:
        return next(server for server in self.servers if server.port == port)

    def replica_of(self, master: Server) -> Server:
        return next(
            server
            for server in self.servers
            if server.alive and role(server) == "slave" and server.call("ROLE")[2] == master.port
        )

    def lose(self, key: str) -> None:
        """Kill the master that has `key`."""
        self.owner(key).kill()

    def mend(self) -> None:
        """Start what was killed, thaw what was frozen, and wait until all is well."""
        for server in self.servers:
            if not server.alive:
                server.start()
        self.settle()

    def stop(self) -> None:
        for server in self.servers:
            server.kill()


class SentinelServers:
    """A primary, two replicas and three sentinels."""

    SERVICE = "agents"

    def __init__(
        self,
        directory: Path,
        *,
        binary: Path | None = None,
        each: Callable[[], tuple[str, ...]] = tuple,
        password: str | None = None,
        sentinel_password: str | None = None,
    ):
        """Args: `each` makes settings for one server, or sentinel, more."""
        self.directory = directory
        self.binary = binary
        self.each = each
        self.sentinel_password = sentinel_password
        secret = ("--requirepass", password, "--masterauth", password) if password else ()
        self.servers = [
            Server(
                directory / f"redis-{n}",
                free_port(),
                *(*each(), *secret),
                binary=binary,
                password=password,
            )
            for n in range(3)
        ]
        self.sentinels: list[Server] = []

    @property
    def url(self) -> str:
        return f"redis+sentinel://{self.hosts}/{self.SERVICE}"

    @property
    def hosts(self) -> str:
        """Where the sentinels are."""
        return ",".join(f"{HOST}:{sentinel.known_as}" for sentinel in self.sentinels)

    def start(self) -> None:
        primary, *replicas = self.servers
        primary.start()
        for server in replicas:
            server.settings += ("--replicaof", f"{HOST} {primary.known_as}")
            server.start()
        for n in range(3):
            sentinel = Sentinel(
                self.directory / f"sentinel-{n}",
                free_port(),
                primary,
                *self.each(),
                binary=self.binary,
                password=self.sentinel_password,
            )
            sentinel.start()
            self.sentinels.append(sentinel)
        self.settle()

    def primary(self) -> Server:
        """The primary that the sentinels name."""
        living = [sentinel for sentinel in self.sentinels if sentinel.alive]
        port = int(living[0].call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.SERVICE)[1])
        return next(server for server in self.servers if server.known_as == port)

    def owner(self, key: str) -> Server:
        """The server that has `key`, as all others: the primary."""
        return self.primary()

    def lose(self, key: str) -> None:
        """Kill the primary."""
        self.primary().kill()

    def settle(self) -> None:
        within(30, self.settled, "the sentinels do not come to agree")

    def settled(self) -> bool:
        try:
            living = [sentinel for sentinel in self.sentinels if sentinel.alive]
            named = {
                tuple(s.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.SERVICE)) for s in living
            }
            if len(named) != 1:
                return False
            for sentinel in living:
                others = sentinel.call("SENTINEL", "SENTINELS", self.SERVICE)
                replicas = sentinel.call("SENTINEL", "REPLICAS", self.SERVICE)
                if len(others) < 2 or len(replicas) < 2:
                    return False
            primary = self.primary()
            if role(primary) != "master":
                return False
            followers = [s for s in self.servers if s is not primary and s.alive]
            return all(
                role(s) == "slave" and s.call("ROLE")[2:4] == [primary.known_as, "connected"]
                for s in followers
            )
        except redis.RedisError:
            return False

    def mend(self) -> None:
        for server in [*self.servers, *self.sentinels]:
            if not server.alive:
                server.start()
        self.settle()

    def stop(self) -> None:
        for server in [*self.sentinels, *self.servers]:
            server.kill()


class Sentinel(Server):
    """A sentinel that takes `primary` for the primary."""

    def __init__(
        self,
        directory: Path,
        port: int,
        primary: Server,
        *settings: str,
        binary: Path | None = None,
        password: str | None = None,
    ):
        super().__init__(directory, port, *settings, binary=binary, password=password)
        self.primary = primary

    def command(self) -> list[str]:
        configuration = self.directory / "sentinel.conf"
        if not configuration.exists():
            service, primary = SentinelServers.SERVICE, self.primary
            lines = [
                *(f"port {self.port}", f"bind {HOST}", f"dir {self.directory}"),
                f"sentinel monitor {service} {HOST} {primary.known_as} 2",
                f"sentinel down-after-milliseconds {service} {GONE}",
                f"sentinel failover-timeout {service} 3000",
                f"sentinel parallel-syncs {service} 2",
            ]
            if primary.password:
                lines.append(f"sentinel auth-pass {service} {primary.password}")
            if self.password:
                lines += [f"requirepass {self.password}", f"sentinel sentinel-pass {self.password}"]
            names = (name.removeprefix("--") for name in self.settings[::2])
            lines += map(" ".join, zip(names, self.settings[1::2], strict=True))
            configuration.write_text("\n".join(lines) + "\n")
        return [str(self.binary), str(configuration), "--sentinel"]


def within(seconds: float, condition: Any, failing: str) -> None:
    """Wait for a condition, outside of any event loop."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{failing} within {seconds:g} s"
        time.sleep(0.02)


def replicates(server: Server, master_id: str) -> bool:
    with contextlib.suppress(redis.RedisError):
        server.call("CLUSTER", "REPLICATE", master_id)
        return True
    return False


def info_text(server: Server) -> str:
    answer = server.call("CLUSTER", "INFO")
    return answer if isinstance(answer, str) else "\n".join(f"{k}:{v}" for k, v in answer.items())


def slots(server: Server) -> list[Any]:
    with raw(server) as client:
        return client.execute_command("CLUSTER SLOTS")


@contextlib.contextmanager
def raw(server: Server) -> Iterator[redis.Redis]:
    """A client that returns replies as they are."""
    with redis.Redis(port=server.port, socket_timeout=5, decode_responses=True) as client:
        client.response_callbacks.clear()
        yield client


def role(server: Server) -> str:
    return server.call("ROLE")[0]


def cluster_ports(count: int) -> list[int]:
    """Free ports whose bus port, 10,000 higher, is free as well."""
    found: list[int] = []
    while len(found) < count:
        port = free_port()
        if port < 55000 and port not in found and bindable(port + 10000):
            found.append(port)
        elif port >= 55000:
            port -= 20000
            if port not in found and bindable(port) and bindable(port + 10000):
                found.append(port)
    return found


def bindable(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
