"""Holdings: what a process holds, noted so that others can give it up when the process is dead.

A lock or a consumer's deliveries would be free only when their own TTL has run out, which may be
long after the agent was declared dead. So a process that has joined as an agent notes each of them
in Redis before it holds it, under the name of its *estate*, together with the script that gives it
up (`giveup` says which may); its presence records name the estate. Whoever turns one of those
records into an `expired` event has the estate settled as well (`Reaper`). What is given up is named
by a token that nobody else has, so settling an estate twice, or with items that were released long
ago, has no effect.

A process that was only frozen, and wakes to find itself declared dead, takes everything it held for
lost, whether or not it has been given up by then, and goes on under a new estate. While it was
frozen others may have got the lock, as where a lease runs out: that is what fences are for.

A process that joined no agent is never declared dead, and notes nothing.
"""

from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from bus.acl import mark_of
from bus.errors import BusError, LockLost, ServerRefused
from bus.messages.envelope import new_id
from bus.servers.script import Argument, Script
from bus.telemetry.journal import Journal

from .giveup import LAPSE, GiveUp, allowed
from .heartbeat import Beat

if TYPE_CHECKING:
    from bus.bus import Bus

log = Journal("argentbus.presence")

_HOLD: Final = Script("agents/hold")

#: Seconds for which a process's holdings are kept without a word from it, and between its words.
KEEP: Final = 86_400
_REFRESH: Final = 3600.0

#: Items in one call (Lua's `unpack` is not used, but a call should stay short).
_ITEMS_PER_CALL: Final = 500


class Holding:
    """One thing that this process holds. Made by `Holdings.add`."""

    def __init__(self, what: str, give_up: GiveUp, *, revives: bool) -> None:
        self.what = what
        self.give_up = give_up
        self.revives = revives
        self.lost = anyio.Event()

    async def watch(self) -> None:
        """Raise `LockLost` once this process learns that it was declared dead."""
        await self.lost.wait()
        raise LockLost(
            f"{self.what} was given up: this process was without heartbeat for so long that it was "
            "declared dead; another may hold it now, so stop what it protected"
        )


class Holdings:
    """What one bus instance holds. Made by `Bus`."""

    def __init__(self, bus: "Bus") -> None:
        self._bus = bus
        self._mark = mark_of(bus.link.address.username)
        self.estate = self._mark + new_id()
        self._held: dict[str, Holding] = {}
        self._dropped: list[str] = []
        self._members = 0
        self._beat = Beat(_REFRESH, self.note_all)

    async def add(
        self, name: str, what: str, script: Script, keys: list[str], args: list[str | int]
    ) -> Holding:
        """Note something that is about to be held; return once others would give it up.

        Args:
            name: Its token, which nobody else has; it begins with the id of the bus instance.
            what: In words.
            script: Gives it up. One that was declared with `giveup.gives_up`, with such keys and
                arguments.

        Raises:
            BusUnavailable: Redis could not be reached.
        """
        holding = Holding(what, GiveUp(script.name, keys, args), revives=False)
        await self._add(name, holding)
        return holding

    async def add_consumer(self, name: str, consumers: str) -> None:
        """Note that `name` is a consumer, whose heartbeat is in the zset `consumers`."""
        give_up = GiveUp(LAPSE.name, [consumers], [name])
        await self._add(name, Holding(f"consumer {name}", give_up, revives=True))

    async def _add(self, name: str, holding: Holding) -> None:
        self._held[name] = holding
        try:
            estate = ""
            while self._members and estate != self.estate:
                estate = self.estate
                await self._note([name])
        except BaseException:
            self.remove(name)
            raise

    def remove(self, name: str) -> None:
        """No longer hold `name`. Redis is told when there is something else to say."""
        if self._held.pop(name, None) is not None and self._members:
            self._dropped.append(name)

    # by those who join and leave

    async def open(self) -> None:
        """Note everything from now on: an agent joins."""
        self._members += 1
        if self._members == 1:
            try:
                await self.note_all()
            except BaseException:
                self._members -= 1
                await self._forget()
                raise
            self._bus.pump.add(self._beat)

    async def close(self) -> None:
        """Note nothing any more, if the last agent leaves."""
        self._members -= 1
        if self._members == 0:
            self._bus.pump.remove(self._beat)
            self._dropped.clear()
            key = self._bus.keys.holdings(self.estate)
            await self._bus.link.retrying(lambda: self._bus.link.call("DEL", key))

    async def _forget(self) -> None:
        """Take back what was noted for an agent that did not join: nobody would settle it."""
        key = self._bus.keys.holdings(self.estate)
        with anyio.CancelScope(shield=True), anyio.move_on_after(self._bus.link.reply_timeout):
            try:
                if not self._members:
                    await self._bus.link.retrying(lambda: self._bus.link.call("DEL", key))
                if self._members:  # another joined meanwhile
                    await self.note_all()
            except BusError as error:
                log.debug("holdings are left behind, for a day at most", error=error)

    async def note_all(self) -> None:
        """Note all that is held: at the start, now and then, and where Redis lost it."""
        await self._note(list(self._held))

    def declared_dead(self) -> None:
        """Take all that is held for lost, and begin a new estate; `note_all` is to follow."""
        self.estate = self._mark + new_id()
        self._dropped.clear()
        for name, holding in list(self._held.items()):
            if not holding.revives:
                del self._held[name]
                holding.lost.set()
        # Consumers learn at once that their deliveries may be others'.
        self._bus.pump.hurry()

    async def _note(self, names: list[str]) -> None:
        key = self._bus.keys.holdings(self.estate)
        dropped, self._dropped = self._dropped, []
        for start in range(0, max(1, len(names)), _ITEMS_PER_CALL):
            args: list[Argument] = [KEEP, len(dropped), *dropped]
            for name in names[start : start + _ITEMS_PER_CALL]:
                if name in self._held:
                    args += [name, msgspec.json.encode(self._held[name].give_up)]
            dropped = []
            if len(args) > 2:
                try:
                    await self._bus.link.run(_HOLD, [key], args)
                except ServerRefused as error:
                    # It is held all the same, and free when its own TTL has run out.
                    log.warning("what this process holds cannot be noted", error=error)


async def settle(bus: "Bus", estate: str) -> list[str]:
    """Give up all that is noted under `estate`; return the names of what that was.

    Raises:
        BusUnavailable: Redis could not be reached; it is to be tried again.
    """
    key = bus.keys.holdings(estate)
    try:
        rows = await bus.link.retrying(lambda: bus.link.call("HGETALL", key))
    except ServerRefused as error:
        log.warning("the holdings of a process cannot be read", estate=estate, error=error)
        return []
    pairs = rows if isinstance(rows, dict) else dict(zip(rows[::2], rows[1::2], strict=True))
    settled: list[str] = []
    limiter = anyio.CapacityLimiter(100)

    async def give_up(name: bytes, raw: bytes) -> None:
        async with limiter:
            if await _give_up(bus, estate, raw):
                settled.append(name.decode(errors="replace"))

    async with anyio.create_task_group() as tasks:
        for name, raw in pairs.items():
            tasks.start_soon(give_up, name, raw)
    if pairs:
        await bus.link.retrying(lambda: bus.link.call("DEL", key))
    return settled


async def _give_up(bus: "Bus", estate: str, raw: bytes) -> bool:
    try:
        call = msgspec.json.decode(raw, type=GiveUp)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        log.warning("a holding cannot be read, and is passed over", error=error)
        return False
    script = allowed(bus.keys, estate, call)
    if script is None:
        log.warning(
            "a holding is none that its process could have had: passed over",
            script=call.script[:60],
            estate=estate,
        )
        return False
    try:
        await bus.link.run(script, call.keys, call.args)
    except ServerRefused as error:
        log.warning("a holding could not be given up", script=call.script, error=error)
        return False
    return True
