"""What can go wrong on the bus: one hierarchy, every error naming what failed and what to do."""

from typing import Any


class BusError(Exception):
    """Base of every error that the bus raises on purpose.

    Example:
        try:
            await agent.send("no such name", Review("parser.py"))
        except BusError as error:  # whatever it is that went wrong, it says what to do
            print(type(error).__name__)  #> InvalidName
    """


class BusUnavailable(BusError):
    """Redis could not be reached, or did not answer, for as long as the bus was told to wait.

    Example:
        try:
            async with Bus.connect("redis://127.0.0.1:1", patience=0.1):
                print("never")
        except BusUnavailable:  # later on: out of operations, after the bus's `patience`
            print("is Redis running?")  #> is Redis running?
    """


class UnsupportedServer(BusError):
    """The server is too old, or is not one that the bus can use.

    Example: See `Durability`.
    """


class ServerRefused(BusError):
    """Redis answered, and refused: no permission, out of memory, a disk that is full.

    Example:
        reviews = bus.queue("reviews", Review)
        await bus.link.call("SET", reviews.base, "of another program, by mistake")
        try:
            await reviews.put(Review("parser.py"))
        except ServerRefused as error:  # no permission, no room; or, as here:
            assert isinstance(error, WrongType)
            print(error.found, error.wanted)  #> string stream
    """


class ServerFull(ServerRefused):
    """Redis has no memory or no disk left for anything new: it refuses what it would take later.

    Example:
        reviews = bus.queue("reviews", Review)
        await bus.link.call("CONFIG", "SET", "maxmemory", "1")  # nothing fits into that
        try:
            await reviews.put(Review("parser.py"))
        except ServerFull:  # consumers go on meanwhile, and make room
            await bus.link.call("CONFIG", "SET", "maxmemory", "0")
            await reviews.put(Review("parser.py"))
        print((await reviews.statistics()).length)  #> 1
    """


class WrongType(ServerRefused):
    """A key of the bus holds what another program wrote there: nothing can be done with it.

    Attributes:
        key: Its name.
        found: The Redis type that it has.
        wanted: The one that it should have.

    Example: See `ServerRefused`.
    """

    def __init__(self, where: str, key: str, found: str, wanted: str) -> None:
        super().__init__(
            f"the key {ascii(key)[1:-1]} of Redis at {where} is a {found}, where argentbus keeps a "
            f"{wanted}: another program wrote it; RENAME it if its content is wanted, or DEL it"
        )
        self.key = key
        self.found = found
        self.wanted = wanted


class QueueFull(BusError):
    """A bounded queue has no room for the message, which was not put.

    Example: See `Rules`.
    """


class NotDurable(BusError):
    """A message is in its stream, and was not as safe in time as the caller asked for.

    Attributes:
        fsynced: Whether the server is known to have it on disk.
        replicas: How many replicas were known to have it.

    Example: See `Durability`.
    """

    def __init__(self, message: str, *, fsynced: bool = False, replicas: int = 0) -> None:
        super().__init__(message)
        self.fsynced = fsynced
        self.replicas = replicas


class DeliveryLost(BusError):
    """A delivery went to another consumer before it was settled: this one was taken for dead.

    Example:
        builds = bus.queue("builds", str, ordered=True)
        await builds.put("main", key="argentbus")
        async with builds.consume("builders") as deliveries:
            delivery = await anext(deliveries)
            # As if this process had stood still for longer than its TTL:
            await bus.link.call("XCLAIM", builds.base, "builders", "another", 0, delivery.entry_id)
            try:
                await delivery.ack()
            except DeliveryLost:
                print("another builds it")  #> another builds it
    """


class InvalidSchedule(BusError, ValueError):
    """Not a cron expression, or not a time zone.

    Example: See `Schedule`.
    """


class InvalidName(BusError, ValueError):
    """A name (agent, queue, topic, lock, namespace) that the bus does not accept.

    Example:
        try:
            bus.lock("page {17}")
        except InvalidName:
            lock = bus.lock("page:17")
            print(lock.name)  #> page:17
    """


class MessageTooLarge(BusError, ValueError):
    """A message is larger than the bus was told to carry.

    Example:
        async with Bus.connect("redis://127.0.0.1:6380", most_message_bytes=1000) as small:
            try:
                await small.topic("news", str).publish("a long story" * 100)
            except MessageTooLarge:  # store it elsewhere, and send where it is
                await small.topic("news", str).publish("s3://news/17")
                print("sent")  #> sent
    """


class UndecodableMessage(BusError, ValueError):
    """Bytes that are not an envelope, or a body that is not of the expected type.

    Example:
        await bus.map("plan", dict).put("step-1", {"what": "dig"})
        try:
            await bus.map("plan", Review).get("step-1")
        except UndecodableMessage as error:
            print("missing required field `path`" in str(error))  #> True
    """


class SignatureRefused(UndecodableMessage):
    """A message that is not signed by whom it names as its sender, where that is required.

    Example: See `Signing`.
    """


class SigningKeyUnusable(BusError, ValueError):
    """A secret, or a file of secrets, that cannot be used to sign.

    Example: See `Signing`.
    """


class AgentAlreadyPresent(BusError):
    """Another live instance has joined under this id, and no takeover was asked for.

    Example:
        try:
            async with bus.join("scout"):
                print("never")
        except AgentAlreadyPresent:
            async with bus.join("scout", takeover=True) as second:
                print(second.id)  #> scout
    """


class PresenceLost(BusError):
    """This agent is no longer the one that is present: it was taken over, or declared dead.

    Example:
        try:
            async with bus.join("writer", ttl=0.3):
                async with bus.join("writer", takeover=True):
                    await anyio.sleep(10)  # cancelled by the first one's next heartbeat
        except PresenceLost:
            print("this one stops")  #> this one stops
    """


class LockLost(BusError):
    """The lease ran out, or is another's, while the holder was still at work.

    Example:
        lock = bus.lock("report", ttl=30)
        try:
            async with lock as lease:
                await bus.link.call("DEL", *lock.keys())  # as if Redis had lost its data
                await lease.extend()
        except LockLost:
            print("stop what it protected")  #> stop what it protected
    """


class LockNotAcquired(BusError, TimeoutError):
    """The lock was not free within the time that the caller was willing to wait.

    Example: See `Lock`.
    """


class NotReplicated(BusError):
    """Fewer replicas than were asked for have it, within the time for that.

    Attributes:
        wanted: How many were asked for.
        had: How many had it.

    Example:
        try:
            async with bus.lock("report", ttl=0.3, replicated=1):
                print("never")
        except NotReplicated as error:  # this server has no replica
            print(error.wanted, error.had)  #> 1 0
    """

    def __init__(self, message: str, *, wanted: int, had: int) -> None:
        super().__init__(message)
        self.wanted = wanted
        self.had = had


class StaleVersion(BusError):
    """Another wrote the key first: this write was refused, and nothing was overwritten.

    Attributes:
        map: Name of the map.
        key: The key.
        expected: The version that the writer had seen; 0 where it had seen none.
        actual: The version that stands; 0 where there is none.
        current: The entry that stands, or None: there is none, or its value cannot be decoded.

    Example: See `Map`.
    """

    def __init__(self, map: str, key: str, expected: int, actual: int, current: Any = None) -> None:
        seen = f"version {expected}" if expected else "no entry"
        stands = f"version {actual} stands" if actual else "it is gone"
        super().__init__(
            f"{key} of map {map} was written after {seen} was read, and {stands} now: nothing was "
            "overwritten; read it again, decide anew and put that"
        )
        self.map = map
        self.key = key
        self.expected = expected
        self.actual = actual
        self.current = current


class RequestTimeout(BusError, TimeoutError):
    """No reply came before the request's deadline.

    Example:
        try:
            await agent.request("writer", "a draft, please", str, timeout=0.1)
        except RequestTimeout:
            print("the writer is not there, or slow")  #> the writer is not there, or slow
    """


class RequestFailed(BusError):
    """The other side answered with an error.

    Attributes:
        error_type: Name of the exception's class on the other side.
        agent: Who answered.

    Example:
        async def write():
            async with await anext(agent.inbox()):
                raise ValueError("a draft of what?")

        async with bus.join("editor") as editor, anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            try:
                await editor.request("scout", "a draft, please", str, timeout=5)
            except RequestFailed as failure:
                print(failure)  #> scout answered with ValueError: a draft of what?
    """

    def __init__(self, error_type: str, message: str, agent: str) -> None:
        super().__init__(f"{agent} answered with {error_type}: {message}")
        self.error_type = error_type
        self.agent = agent


class SlowSubscriber(BusError):
    """A feed that was to be closed when its buffer is full was: its reader was too slow.

    Example:
        moods = bus.topic("mood", Mood)
        async with moods.subscribe(buffer=1, when_full="close") as feed:
            while not feed.dropped:
                await moods.publish(Mood("calm"))
            try:
                async for event in feed:
                    print(event.body.word)  #> calm
            except SlowSubscriber:
                print("subscribe anew")  #> subscribe anew
    """


class NobodyPresent(BusError):
    """No agent with that role and those capabilities is present.

    Example:
        try:
            await agent.send_any(Review("parser.py"), role="reviewer")
        except NobodyPresent:  # a queue would keep it until there is one
            await bus.queue("reviews", Review).put(Review("parser.py"))
            print("put")  #> put
    """


class EventsMissed(BusError):
    """Presence events were trimmed before they were read: take a new snapshot.

    Example:
        try:
            async for event in bus.registry.events(after="1-0"):
                print("never")
        except EventsMissed:  # trimmed long ago
            now = await bus.registry.snapshot()
            print(list(now.agents))  #> ['scout']
    """
