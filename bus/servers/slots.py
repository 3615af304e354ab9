"""Which key decides where a command goes, and the slot of a key on a Cluster."""

from binascii import crc_hqx
from collections.abc import Sequence
from typing import Final

from .script import Argument

Key = str | bytes

SLOTS: Final = 16384

#: Commands that concern a server, not a key. The rule for all others: the first argument is the
#: key, unless a line below says where it is.
_KEYLESS: Final = frozenset(
    (  # noqa: SIM905 (a list of words reads better as words)
        "ACL AUTH BGREWRITEAOF BGSAVE CLIENT CLUSTER COMMAND CONFIG DBSIZE DISCARD ECHO EXEC "
        "FAILOVER FLUSHALL FLUSHDB FUNCTION HELLO INFO KEYS LASTSAVE LATENCY LOLWUT MODULE MULTI "
        "PING PSUBSCRIBE PUBLISH PUBSUB PUNSUBSCRIBE QUIT RANDOMKEY REPLICAOF RESET ROLE SAVE "
        "SCAN SCRIPT SELECT SENTINEL SHUTDOWN SLAVEOF SLOWLOG SUBSCRIBE SWAPDB TIME UNSUBSCRIBE "
        "UNWATCH WAIT WAITAOF "
    ).split()
)
_SECOND: Final = frozenset(("BITOP", "DEBUG", "MEMORY", "OBJECT", "XGROUP", "XINFO"))
_AFTER_COUNT: Final = frozenset(
    ("EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO", "BLMPOP", "BZMPOP")
)
_BEHIND_COUNT: Final = frozenset(
    ("LMPOP", "SINTERCARD", "ZDIFF", "ZINTER", "ZINTERCARD", "ZMPOP", "ZUNION")
)


def slot_of(key: Argument) -> int:
    """The slot of a key: CRC16 of what stands in its first braces, or of all of it."""
    raw = key if isinstance(key, bytes) else str(key).encode()
    start = raw.find(b"{")
    if start >= 0:
        end = raw.find(b"}", start + 1)
        if end > start + 1:
            raw = raw[start + 1 : end]
    return crc_hqx(raw, 0) % SLOTS


def key_of(command: str, args: Sequence[Argument]) -> Key | None:
    """The key by which `command` is routed, or None where any server will do.

    A wrong guess is corrected by the Cluster itself, at the price of a round trip.
    """
    name = command.upper()
    if name in _KEYLESS:
        return None
    place = 0
    if name in _SECOND:
        place = 1
    elif name in _AFTER_COUNT:
        if len(args) > 1 and not int(args[1]):
            return None
        place = 2
    elif name in _BEHIND_COUNT:
        place = 1
    elif name in {"XREAD", "XREADGROUP"}:
        names = [str(_text(arg)).upper() for arg in args]
        place = names.index("STREAMS") + 1 if "STREAMS" in names else len(args)
    if place >= len(args):
        return None
    key = args[place]
    return key if isinstance(key, bytes) else str(key)


def _text(arg: Argument) -> Argument:
    return arg.decode(errors="replace") if isinstance(arg, bytes) else arg
