"""Logs, for code that is not async."""

from typing import TYPE_CHECKING

from bus.logs.log import LogEntry, Place

if TYPE_CHECKING:
    from .bus import Bus


class Log:
    """One log of a namespace. Made by `Bus.log`. Arguments and errors are the async `Log`'s."""

    def __init__(self, bus: "Bus", name: str) -> None:
        self.name = name
        self.over = bus.over.log(name)
        self._bus = bus

    def append(self, body: object, *, type: str | None = None, sender: str | None = None) -> str:
        """Append `body`; return its entry id, once Redis has it."""
        return self.place(body, type=type, sender=sender).entry_id

    def place(self, body: object, *, type: str | None = None, sender: str | None = None) -> Place:
        """Append `body`; return where it stands, once Redis has it."""
        over = self._bus.over
        with over.telemetry.sending(self.over.destination, "append") as appending:
            message_id, message = over.wrap(
                self.over.key, body, sender=sender or self._bus.instance, type=type
            )
            appending.message(message_id)
            over.check_size(message)
            epoch_key = self.over._epoch_key
            return Place(*self._bus.append(self.over.key, message, epoch_key=epoch_key))

    def read(
        self, *, after: str = "0-0", limit: int = 1000, block: float | None = None
    ) -> list[LogEntry]:
        """Return up to `limit` entries behind the id `after`, in order; wait `block` seconds."""
        return self._bus.portal.call(self.over.read, after=after, limit=limit, block=block)

    def length(self) -> int:
        """How many entries there are."""
        return self._bus.portal.call(self.over.length)

    def last_id(self) -> str:
        """Id of the newest entry ever appended, also where it was trimmed; `0-0` if none was."""
        return self._bus.portal.call(self.over.last_id)

    def epoch(self) -> str:
        """An id made with the stream, or an empty string where there is no stream yet."""
        return self._bus.portal.call(self.over.epoch)

    def trim(self, *, through: str, epoch: str) -> int:
        """Drop the entries up to and including `through`; return how many were dropped."""
        return self._bus.portal.call(self.over.trim, through=through, epoch=epoch)
