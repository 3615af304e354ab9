"""Structured logs: constant words for what happened, and the facts of this time beside them.

    log = Journal("argentbus.queue")
    log.warning("a handler failed", queue="reviews", attempt=2, error=error)

The loggers are the standard library's, and whatever formats their records shows words and facts in
one line; `formats.JsonFormatter` keeps them apart. An exception is told as its message, and by its
type in another fact (`error_type`), so that no object outlives the line.
"""

import json
import logging
import re
from collections.abc import MutableMapping
from typing import Any, Final

#: What the standard library's own methods take.
_OWN: Final = {"exc_info", "stack_info", "stacklevel", "extra"}

_SIMPLE: Final = re.compile(r"[\w.:@/+-]+", re.ASCII)

#: Characters of a fact that are told: some come from strangers.
_LONGEST: Final = 2000

Fact = str | int | float | bool | None


class Event:
    """What happened. Its text is words and facts, in one line whatever is in them."""

    __slots__ = ("facts", "words")

    def __init__(self, words: str, facts: dict[str, Fact]) -> None:
        self.words = words
        self.facts = facts

    def __str__(self) -> str:
        told = " ".join(f"{name}={_shown(fact)}" for name, fact in self.facts.items())
        return f"{self.words}: {told}" if told else self.words


class Journal(logging.LoggerAdapter[logging.Logger]):
    """The logger `name`, whose methods take facts as keyword arguments.

    Values other than text, numbers and None are told as their `str`. Facts must not be secret.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name), {})

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        facts: dict[str, Fact] = {}
        for name in [name for name in kwargs if name not in _OWN]:
            value = kwargs.pop(name)
            if isinstance(value, BaseException):
                facts[f"{name}_type"] = type(value).__name__
                value = str(value)
            elif isinstance(value, bytes):
                value = ascii(value)
            elif not isinstance(value, Fact):
                value = str(value)
            if isinstance(value, str) and len(value) > _LONGEST:
                value = f"{value[:_LONGEST]}..."
            facts[name] = value
        return Event(str(msg), facts), kwargs


def _shown(fact: Fact) -> str:
    if isinstance(fact, str) and not _SIMPLE.fullmatch(fact):
        return json.dumps(fact)
    return "-" if fact is None else str(fact)
