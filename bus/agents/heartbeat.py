"""The heartbeat pump: one task a process that refreshes whatever must not expire."""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from bus.errors import BusError, ServerRefused
from bus.seldom import Seldom
from bus.servers.link import TRANSIENT
from bus.telemetry import Telemetry
from bus.telemetry.journal import Journal

log = Journal("argentbus.heartbeat")

#: Seconds between two looks at who is due.
TICK: Final = 0.05

#: Seconds without anybody who looks for the dead: Redis itself may have been away, and with it all
#: heartbeats; and seconds that everybody then has to beat again.
GAP: Final = 1.5
GRACE: Final = 2.0


class Beat:
    """Something that is to be called every `interval` seconds while it is in the pump."""

    __slots__ = ("call", "due", "interval", "running")

    def __init__(self, interval: float, call: Callable[[], Awaitable[None]]) -> None:
        self.interval = interval
        self.call = call
        self.due = 0.0
        self.running = False


class Pump:
    """Calls every beat when it is due. `run` is a task of the bus."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._beats: set[Beat] = set()
        self._added = anyio.Event()
        self._may_say = Seldom()

    def add(self, beat: Beat) -> None:
        """Call `beat` from now on, for the first time after its interval.

        One that is in the pump already is not put off by being added again.
        """
        due = anyio.current_time() + beat.interval
        beat.due = min(beat.due, due) if beat in self._beats else due
        self._beats.add(beat)
        self._added.set()

    def remove(self, beat: Beat) -> None:
        """Stop calling `beat`."""
        self._beats.discard(beat)

    def hurry(self) -> None:
        """Call every beat now: this process learned that it was taken for dead."""
        for beat in self._beats:
            beat.due = 0.0
        self._added.set()

    async def run(self) -> None:
        """Beat until cancelled. One that takes long holds no other up."""
        async with anyio.create_task_group() as tasks:
            while True:
                now = anyio.current_time()
                for beat in list(self._beats):
                    if beat.due <= now and not beat.running:
                        if beat.due and now - beat.due > beat.interval / 2:
                            self._telemetry.late()
                        beat.due = now + beat.interval
                        beat.running = True
                        tasks.start_soon(self._call, beat)
                soonest = min((beat.due for beat in self._beats), default=now + 3600.0)
                self._added = anyio.Event()
                with anyio.move_on_after(max(TICK, soonest - anyio.current_time())):
                    await self._added.wait()

    async def _call(self, beat: Beat) -> None:
        try:
            await beat.call()
        except* (*TRANSIENT, BusError) as errors:
            # The server is away or refuses; the next beat tries again, soon.
            error = errors.exceptions[0]
            if isinstance(error, ServerRefused) and self._may_say(str(error)):
                log.warning("a heartbeat was refused, and is tried again", error=error)
            log.debug("a heartbeat failed", error=error)
            self._telemetry.late()
            beat.due = anyio.current_time() + min(beat.interval, 0.5)
        finally:
            beat.running = False
