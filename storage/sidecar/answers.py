"""Answering reads: each in the scope of the agent that asks."""

from typing import Final

import anyio

from bus import Agent, BusError, BusUnavailable, Consumer, Delivery, MessageTooLarge
from bus.servers.link import backoff
from bus.telemetry.journal import Journal
from storage.adapter import StorageAdapter
from storage.errors import InvalidValue, StorageError
from storage.parts import RESULTS
from storage.reads import READS, ReadRequest

log = Journal("argentbus.sidecar")

#: Reads answered at the same time.
AT_ONCE: Final = 8


async def answer_reads(agent: Agent, storage: StorageAdapter) -> None:
    """Answer reads until cancelled; what is wrong with the queue does not stop the writing."""
    queue = agent.queue(READS, ReadRequest)
    delays = backoff(0.1, 5.0)
    while True:
        try:
            async with (
                queue.consume("sidecars", prefetch=AT_ONCE) as deliveries,
                anyio.create_task_group() as tasks,
            ):
                delays = backoff(0.1, 5.0)
                for _ in range(AT_ONCE):
                    tasks.start_soon(_serve, deliveries, storage)
        except* BusError as errors:
            log.warning("reads are not answered", error=errors.exceptions[0])
        await anyio.sleep(next(delays))


async def _serve(deliveries: Consumer[ReadRequest], storage: StorageAdapter) -> None:
    async for delivery in deliveries:
        if not delivery.is_request:
            await delivery.reject("nobody waits for an answer to this read")
            continue
        async with delivery:
            try:
                await delivery.reply(await _answer(delivery, storage))
            except StorageError as error:
                await delivery.reply_error(error)
            except MessageTooLarge:
                too_large = InvalidValue("limit", "the answer is too large: ask for fewer at once")
                await delivery.reply_error(too_large)
            except BusUnavailable as error:  # who asked asks again
                log.warning(
                    "a read is not answered",
                    agent=delivery.sender,
                    delivery=delivery.id,
                    error=error,
                )


async def _answer(delivery: Delivery[ReadRequest], storage: StorageAdapter) -> object:
    request = delivery.body
    if (request.part, request.method) not in RESULTS:
        raise InvalidValue("method", f"{request.part}.{request.method} cannot be asked for")
    try:
        return await storage.read(delivery.sender, request.part, request.method, **request.args)
    except TypeError as error:
        raise InvalidValue("args", f"do not fit {request.method}: {error}") from None
