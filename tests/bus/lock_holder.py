"""A process that takes locks as it is told to, and works on a resource while it holds one.

Commands on its input, a line each: `acquire <lock> <exclusive|shared>`, `release`. On its output,
a line of JSON for what happened: `ready`, `waiting`, `holding`, `released`, `lost`, `refused`.

The resource is a key on another Redis that refuses a fence lower than one it has seen, and keeps a
list of the writes that it let pass.
"""

import json
import sys
from typing import Any

import anyio
import redis

from bus import Bus, BusError, LockLost

#: KEYS  highest fence seen, list of writes.  ARGV  fence, writer
WRITE = """
if tonumber(ARGV[1]) < tonumber(redis.call('GET', KEYS[1]) or '0') then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('RPUSH', KEYS[2], ARGV[1] .. ' ' .. ARGV[2])
return 1
"""


def say(event: str, **what: Any) -> None:
    print(json.dumps({"event": event, **what}), flush=True)


class Holder:
    def __init__(self, bus: Bus, resource: "redis.Redis[bytes]", me: str, ttl: float) -> None:
        self.bus = bus
        self.resource = resource
        self.me = me
        self.ttl = ttl
        self.done = anyio.Event()

    async def hold(self, name: str, mode: str) -> None:
        say("waiting", lock=name)
        late = 0
        try:
            async with self.bus.lock(name, ttl=self.ttl, shared=mode == "shared") as lease:
                say("holding", lock=name, fence=lease.fence)
                while not self.done.is_set():
                    late += lease.remaining == 0
                    if mode == "exclusive" and not self.write(name, lease.fence):
                        say("refused", lock=name, fence=lease.fence)
                    await anyio.sleep(0.005)
        except LockLost as error:
            say("lost", lock=name, late=late, why=str(error))
        except BusError as error:
            say("failed", lock=name, why=repr(error))
        else:
            say("released", lock=name)

    def write(self, name: str, fence: int) -> bool:
        keys = [f"resource:{name}", f"resource:{name}:writes"]
        return bool(self.resource.eval(WRITE, 2, *keys, fence, self.me))


async def main(url: str, resource_url: str, namespace: str, me: str, ttl: str) -> None:
    resource = redis.Redis.from_url(resource_url)
    async with (
        Bus.connect(url, namespace=namespace) as bus,
        anyio.create_task_group() as tasks,
    ):
        holder = Holder(bus, resource, me, float(ttl))
        say("ready")
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            command, *arguments = line.split()
            if command == "acquire":
                holder.done = anyio.Event()
                tasks.start_soon(holder.hold, *arguments)
            else:
                holder.done.set()
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[2:], backend=sys.argv[1])
