"""Logs, for code that is not async."""

from bus.logs.log import Log as AsyncLog
from bus.logs.log import Place

from .through import Noun, through


class Log(Noun[AsyncLog]):
    """One log of a namespace. Made by `Bus.log`.

    What is appended goes straight to Redis where it can (see `bus.blocking`).

    Example:
        log: Log = bus.log("audit")
        place = log.place({"task": 17, "done": True}, sender="scout")
        entries = log.read(after="0-0", limit=100)
        print(entries[0].id == place.entry_id, entries[0].envelope.sender)  #> True scout
        log.trim(through=place.entry_id, epoch=place.epoch)
    """

    @property
    def name(self) -> str:
        return self.over.name

    @property
    def key(self) -> str:
        """Of its stream."""
        return self.over.key

    def append(self, body: object, *, type: str | None = None, sender: str | None = None) -> str:
        """Append `body`; return its entry id, once Redis has it. See `place` for errors."""
        return self.place(body, type=type, sender=sender).entry_id

    def place(self, body: object, *, type: str | None = None, sender: str | None = None) -> Place:
        """Append `body`; return where it stands, once Redis has it.

        Raises:
            BusUnavailable: Redis could not be reached for as long as the bus is patient.
            ServerRefused: Redis refused it.
            MessageTooLarge: the encoded message is larger than the bus carries.
        """
        bus, over = self._bus.over, self.over
        with bus.telemetry.sending(over.destination, "append") as appending:
            message_id, message = bus.wrap(over.key, body, sender=sender or bus.instance, type=type)
            appending.message(message_id)
            bus.check_size(message)
            return Place(*self._bus.append(over.key, message, epoch_key=over._epoch_key))

    read = through(AsyncLog.read)
    trim = through(AsyncLog.trim)
    reject = through(AsyncLog.reject)
    dead_length = through(AsyncLog.dead_length)
    epoch = through(AsyncLog.epoch)
    length = through(AsyncLog.length)
    last_id = through(AsyncLog.last_id)
