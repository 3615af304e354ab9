"""Messages that nobody's encoder would make."""

from typing import Any

import msgspec

from bus.messages.envelope import wrap
from storage.model.items import CreateItem, MemoryItem
from storage.model.values import now


def enveloped(body: object, sender: str = "scout", type: str | None = None) -> bytes:
    return wrap(body, sender=sender, type=type)[1]


def item_of(agent: str, **columns: Any) -> CreateItem:
    item = MemoryItem(
        id=f"by-{agent}", agent_id=agent, memory_type="event", summary="x", created_at=now(),
        updated_at=now(),
    )  # fmt: skip
    return CreateItem(item=msgspec.structs.replace(item, **columns))


def nested(depth: int) -> bytes:
    """A msgpack array in an array, and so on."""
    return b"\x91" * depth + b"\x90"


def raw_command(body: bytes, type: str = "CreateItem") -> bytes:
    """An envelope around bytes that nobody's encoder would make."""
    message = enveloped(msgspec.Raw(body), type=type)
    assert body in message
    return message
