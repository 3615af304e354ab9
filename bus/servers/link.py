"""The link to Redis: commands, scripts and connections, whatever stands behind the URL.

Behind it is one server, the primary that sentinels name, or a Cluster. What uses the link does not
see which, as long as it keeps to one rule: **everything says which key it is about.**

- `run(script, keys)` goes where `keys[0]` is, so a script has a key, and all its keys share a slot
  (the braces in `keys.py`).
- `call(command, ...)` finds the key by the command's name; commands about a server (`PING`,
  `CONFIG`) go to any. Where that is not meant (`WAIT` behind a write), name it: `key=`. What every
  server is to be asked goes through `everywhere`.
- `dedicated(key)` and `open_connection(key)` connect to where the key is now: a connection serves
  one key, or several of one slot. Is the key elsewhere later, `ask` closes the connection and
  raises one of `TRANSIENT`, and the next connection is made to the right place. None is for what
  is about no key.
- Channels: `Bus.publish` and `Bus.subscriber` know; a script that wakes somebody uses `PUBLISH`,
  which a Cluster carries to all its nodes (`shards.py`).

What passes by itself (`TRANSIENT`: broken connections, failovers, a server that loads, slots that
move) is for `retrying`, or for a loop that catches `AWAY`.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import anyio
from coredis.exceptions import NoScriptError, RedisError

from .connections import Connections
from .connector import reply
from .faults import AWAY, REDIRECTED, TRANSIENT, backoff
from .script import Argument, Arguments, Script
from .slots import Key, key_of

__all__ = ["AWAY", "TRANSIENT", "Link", "backoff"]

T = TypeVar("T")

#: Redirections that one command follows before it counts as failed, and is tried again later.
MOST_REDIRECTIONS: Final = 5


class Link(Connections):
    """Commands to Redis, over connections that are made again when they break.

    Args:
        address: Where it is.
        patience: Seconds for which `run` and `retrying` go on trying over a broken connection.
        connect_timeout: Seconds that one attempt to connect may take.
        reply_timeout: Seconds to wait for a reply before the connection counts as dead.
    """

    # one command

    async def call(
        self,
        command: str,
        *args: Argument,
        key: Key | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Send one command once; return its reply (`bytes`, numbers, lists).

        Raises one of `TRANSIENT` when the connection breaks: the command may have been carried out.

        Args:
            key: What it is about, where its arguments do not tell.
            timeout: Seconds to wait for the reply.

        Raises:
            ServerRefused: the server answered with an error.
        """
        return await self._call(
            key_of(command, args) if key is None else key, command.encode(), *args, timeout=timeout
        )

    async def everywhere(self, command: str, *args: Argument, replicas: bool = False) -> list[Any]:
        """Send one command to every server that takes writes; return their replies.

        Args:
            replicas: Whether to send it to their replicas as well: those of a Cluster, and those
                that sentinels know. What is not replicated (users, settings) has to be there
                before one of them takes over.

        Raises as `call` does, where one of them fails; others may have done it by then.
        """
        replies = []
        for node in await self._nodes(replicas=replicas):
            try:
                connection = await node.connection()
                replies.append(
                    await reply(connection, command.encode(), *args, timeout=self.reply_timeout)
                )
            except TRANSIENT:
                raise
            except RedisError as error:
                raise self.refused(error) from error
        return replies

    async def run(self, script: Script, keys: Arguments, args: Arguments = ()) -> Any:
        """Run a script that may safely be repeated, again and again while the connection breaks.

        Raises:
            BusUnavailable: it did not succeed within the bus's patience.
            ServerRefused: the server answered with an error.
        """
        return await self.retrying(lambda: self.run_once(script, keys, args))

    async def run_once(self, script: Script, keys: Arguments, args: Arguments = ()) -> Any:
        """Run a script once. Raises one of `TRANSIENT` when the connection breaks.

        Raises:
            ServerRefused: the server answered with an error.
        """
        key = keys[0] if isinstance(keys[0], bytes) else str(keys[0])
        try:
            return await self._routed(key, b"EVALSHA", script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self._call(key, b"EVAL", script.text, len(keys), *keys, *args, about=keys)
        except TRANSIENT:
            raise
        except RedisError as error:
            raise await self._refusal(error, keys) from error

    async def _call(
        self,
        key: Key | None,
        command: bytes,
        *args: Argument,
        timeout: float | None = None,
        about: Sequence[Argument | None] = (),
    ) -> Any:
        try:
            return await self._routed(key, command, *args, timeout=timeout)
        except TRANSIENT:
            raise
        except RedisError as error:
            raise await self._refusal(error, about or [key]) from error

    async def _routed(
        self, key: Key | None, command: bytes, *args: Argument, timeout: float | None = None
    ) -> Any:
        """Send a command to where its key is, and on where a node says it is elsewhere."""
        node, asking = await self.locate(key)
        redirections = 0
        while True:
            connection = await node.connection()
            try:
                return await reply(
                    connection, command, *args, timeout=timeout or self.reply_timeout, asking=asking
                )
            except REDIRECTED as error:
                redirections += 1
                if redirections > MOST_REDIRECTIONS:
                    raise
                node, asking = self._route.redirected(error, node, key)

    # trying again

    async def retrying(
        self, operation: Callable[[], Awaitable[T]], *, patience: float | None = None
    ) -> T:
        """Await `operation()` until it succeeds, for at most `patience` seconds of broken link."""
        give_up = math.inf
        delays = backoff()
        while True:
            try:
                return await operation()
            except TRANSIENT as error:
                now = anyio.current_time()
                if give_up == math.inf:
                    give_up = now + (self.patience if patience is None else patience)
                delay = next(delays)
                if now + delay > give_up:
                    raise self._unavailable(error) from error
                await anyio.sleep(delay)
