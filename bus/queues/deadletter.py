"""Dead letters: messages that could not be handled, kept with the reason until somebody decides."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from bus.arguments import whole
from bus.errors import InvalidName
from bus.keys import QueueKeys
from bus.messages.codec import decode_body
from bus.messages.envelope import Envelope, unwrap
from bus.servers.link import Link
from bus.servers.reader import check_entry_id
from bus.servers.script import Script

T = TypeVar("T")

_REPLAY: Final = Script("queues/replay", "queues/entries")

#: Dead letters that one call moves or lists.
_PAGE: Final = 100


class Kill(NamedTuple):
    """The death of a consumer that had a message.

    Attributes:
        consumer: Its name, `<bus instance>.<number>`.
        at: When it was taken for dead, by the server's clock.

    Example: See `DeadLetter`.
    """

    consumer: str
    at: datetime

    def __str__(self) -> str:
        return f"{self.consumer} at {self.at:%Y-%m-%d %H:%M:%S} UTC"


def read_kills(text: str) -> tuple[Kill, ...]:
    """Read what is noted of consumers' deaths: `<consumer>@<ms>` each."""
    kills = []
    for word in text.split():
        consumer, _, ms = word.rpartition("@")
        if consumer and ms.isdecimal() and len(ms) <= 14:
            kills.append(Kill(consumer, datetime.fromtimestamp(int(ms) / 1000, UTC)))
    return tuple(kills)


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was set aside.

    Attributes:
        id: Of the dead letter: it stays the same until the letter is replayed or purged.
        reason: Why it was set aside.
        attempts: How often it had been delivered.
        group: Consumer group that gave it up; empty for a log.
        entry_id: Where it stood in the stream.
        died_at: By the server's clock, in seconds since the epoch.
        message: The encoded envelope, or whatever bytes stood there.
        kills: The consumers that died with it, and when.
        key: Under which it was put, or None.

    Example:
        reviews = bus.queue("reviews", Review)
        await reviews.put(Review("parser.py"))
        async with reviews.consume("reviewers") as deliveries:
            await (await anext(deliveries)).reject("it has no tests")
        letter: DeadLetter = (await reviews.dead_letters())[0]
        envelope: Envelope = letter.envelope()
        kills: tuple[Kill, ...] = letter.kills  # the consumers that died with it
        print(letter.body(Review).path, letter.reason, kills)  #> parser.py it has no tests ()
        await reviews.replay(letter.id)
    """

    id: str
    reason: str
    attempts: int
    group: str
    entry_id: str
    died_at: float
    message: bytes
    kills: tuple[Kill, ...] = ()
    key: str | None = None

    def envelope(self) -> Envelope:
        """Decode the envelope.

        Raises:
            UndecodableMessage: the bytes are not one.
        """
        return unwrap(self.message)

    def body(self, body_type: type[T] = object) -> T:  # type: ignore[assignment]
        """Decode the body, as plain data where no type is given.

        Raises:
            UndecodableMessage: there is no envelope, or its body is not a `body_type`.
        """
        return decode_body(self.envelope(), body_type)


def dead_letter(row: Any) -> DeadLetter:
    """Read a dead letter from an entry of a dead-letter stream."""
    # The bury's own fields come first: what the message has under the same names does not count.
    fields: dict[bytes, bytes] = {}
    for name, value in zip(row[1][::2], row[1][1::2], strict=False):
        fields.setdefault(name, value)
    entry_id = row[0].decode()
    attempts = fields.get(b"attempts", b"0")
    key = fields.get(b"k")
    return DeadLetter(
        id=entry_id,
        reason=fields.get(b"reason", b"").decode(errors="replace"),
        attempts=int(attempts) if attempts.isdigit() and len(attempts) < 18 else 0,
        group=fields.get(b"group", b"").decode(errors="replace"),
        entry_id=fields.get(b"entry", b"").decode(errors="replace"),
        died_at=int(entry_id.split("-")[0]) / 1000,
        message=fields.get(b"e", b""),
        kills=read_kills(fields.get(b"kills", b"").decode(errors="replace")),
        key=None if key is None else key.decode(errors="replace"),
    )


class DeadLetters:
    """The dead letters of one queue."""

    def __init__(self, link: Link, keys: QueueKeys) -> None:
        self._link = link
        self._keys = keys

    async def page(self, *, limit: int, after: str = "-", until: str = "+") -> list[DeadLetter]:
        """Up to `limit` letters behind the id `after`, the oldest first."""
        whole("limit", limit, least=1)
        start = after if after == "-" else f"({_checked(after)}"
        rows = await self._link.retrying(
            lambda: self._link.call("XRANGE", self._keys.dead, start, until, "COUNT", limit)
        )
        return [dead_letter(row) for row in rows]

    async def find(self, dead_id: str) -> DeadLetter | None:
        """The letter with this id."""
        rows = await self._link.retrying(
            lambda: self._link.call("XRANGE", self._keys.dead, _checked(dead_id), dead_id)
        )
        return dead_letter(rows[0]) if rows else None

    async def replay(self, dead_ids: Sequence[str]) -> int:
        """Put letters back, each atomically; return how many were there."""
        replayed = 0
        keys = self._keys
        for ids in _pages(dead_ids):
            replayed += await self._link.run(
                _REPLAY, [keys.dead, keys.stream, keys.counts, keys.lanes], [keys.lane, *ids]
            )
        return replayed

    async def purge(self, dead_ids: Sequence[str]) -> int:
        """Drop letters for good; return how many were there."""
        purged = 0
        for ids in _pages(dead_ids):
            purged += await self._link.retrying(
                lambda ids=ids: self._link.call("XDEL", self._keys.dead, *ids)  # type: ignore[misc]
            )
        return purged

    async def ids(self, *, group: str | None = None) -> list[str]:
        """Ids of all there are now (of one group, if asked); not of what dies meanwhile."""
        ids: list[str] = []
        newest = await self._link.retrying(
            lambda: self._link.call("XREVRANGE", self._keys.dead, "+", "-", "COUNT", 1)
        )
        until = newest[0][0].decode() if newest else "0-0"
        page = await self.page(limit=_PAGE, until=until)
        while page:
            ids += [letter.id for letter in page if group is None or letter.group == group]
            page = await self.page(limit=_PAGE, after=page[-1].id, until=until)
        return ids


def _pages(dead_ids: Sequence[str]) -> list[list[str]]:
    ids = [_checked(one) for one in dead_ids]
    return [ids[start : start + _PAGE] for start in range(0, len(ids), _PAGE)]


def _checked(dead_id: str) -> str:
    try:
        return check_entry_id("the id of a dead letter", dead_id)
    except ValueError as error:
        raise InvalidName(str(error)) from None
