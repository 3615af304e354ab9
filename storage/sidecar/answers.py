"""Answering reads: each in the scope of the agent that asks."""

from typing import Final

import anyio

from bus import Agent, Consumer, Delivery
from storage.adapter import StorageAdapter
from storage.errors import InvalidValue
from storage.reads import READS, RESULTS, ReadRequest

#: Reads answered at the same time.
AT_ONCE: Final = 8


async def answer_reads(agent: Agent, storage: StorageAdapter) -> None:
    """Answer reads until cancelled."""
    queue = agent.queue(READS, ReadRequest)
    async with (
        queue.consume("sidecars", prefetch=AT_ONCE) as deliveries,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(AT_ONCE):
            tasks.start_soon(_serve, deliveries, storage)


async def _serve(deliveries: Consumer[ReadRequest], storage: StorageAdapter) -> None:
    async for delivery in deliveries:
        async with delivery:
            await delivery.reply(await _answer(delivery, storage))


async def _answer(delivery: Delivery[ReadRequest], storage: StorageAdapter) -> object:
    request = delivery.body
    if (request.domain, request.method) not in RESULTS:
        raise InvalidValue("method", f"{request.domain}.{request.method} cannot be asked for")
    view = storage.scoped(delivery.sender)
    domain = view.memory if request.domain == "memory" else view.tasks
    try:
        return await getattr(domain, request.method)(**request.args)
    except TypeError as error:
        raise InvalidValue("args", f"do not fit {request.method}: {error}") from None
