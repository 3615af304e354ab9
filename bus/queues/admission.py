"""What a queue asks of a message before it is let in: pure, for every kind of inlet."""

from typing import Final

from bus.errors import MessageTooLarge, QueueFull
from bus.keys import QueueKeys, check_name
from bus.servers.script import Argument, Script

from .appender import Form
from .rules import Rules

_PUT: Final = Script("queues/put", "queues/entries")

#: Seconds for which a queue remembers a dedupe id.
DEDUPE_TTL: Final = 86_400.0


class Admission:
    """The rules of the queue `name`, as they apply to what is put into it.

    Attributes:
        plain: How messages with nothing but themselves travel: as one value.
        special: How those with a key, a dedupe id or a time do: as the five of `values`.
    """

    def __init__(self, name: str, keys: QueueKeys, rules: Rules) -> None:
        self.rules: Final = rules
        self._name = name
        self._keys = keys
        self.plain: Final = self._form(1)
        self.special: Final = self._form(5)

    def values(
        self, message: bytes, message_id: str, *, key: str | None, dedupe: str | None, due: str
    ) -> tuple[Argument, ...]:
        """The values of a special message. `due` is as `due_at` says.

        Raises:
            InvalidName: the dedupe id or the key is not accepted.
            ValueError: there is a key, and the queue keeps no order.
        """
        if dedupe is not None:
            check_name("dedupe id", dedupe)
        if key is not None:
            self.check_key(key)
        return (message, message_id, dedupe or "", due, key or "")

    def check_key(self, key: str) -> None:
        """Raise where `key` cannot be a key, or the queue has none."""
        if not self.rules.ordered:
            raise ValueError(
                f"queue {self._name} keeps no order: open it with ordered=True to use keys"
            )
        check_name("key", key)

    def check_fits(self, size: int) -> None:
        """Raise `MessageTooLarge` where a message of `size` bytes would never find room."""
        most = self.rules.max_bytes
        if most is not None and size > most:
            raise MessageTooLarge(
                f"a message of {size:,} bytes never fits into queue {self._name}, which holds "
                f"{most:,}"
            )

    def full(self) -> QueueFull:
        """The error for a message that found no room."""
        rules = self.rules
        return QueueFull(
            f"queue {self._name} is full (max_length={rules.max_length}, "
            f"max_bytes={rules.max_bytes}): put it later, add consumers, or wait for room "
            "(when_full='wait')"
        )

    def _form(self, values: int) -> Form:
        keys, rules = self._keys, self.rules
        most = (rules.max_length or 0, rules.max_bytes or 0)
        return Form(
            _PUT,
            (keys.stream, keys.delayed, keys.counts, keys.lanes),
            (keys.lane, keys.dedupe, int(DEDUPE_TTL * 1000), *most, values),
        )
