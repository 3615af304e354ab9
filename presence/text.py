"""What others wrote, made fit to be shown.

The page puts text in by `textContent`, so markup is harmless there. What is left to defuse are
characters that are not seen but act: controls, and marks that turn the direction of writing round.
"""

import unicodedata
from datetime import datetime
from typing import Final

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_ACTING: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}
#: Format characters that scripts and emoji need.
_NEEDED: Final = {"\N{ZERO WIDTH JOINER}", "\N{ZERO WIDTH NON-JOINER}", "\N{SOFT HYPHEN}"}


def clean(text: str, limit: int) -> str:
    """Return `text` on one line, without acting characters, at most `limit` characters long."""
    shown = "".join(_one(character) for character in text[: limit + 1].replace("\n", " "))
    return shown if len(text) <= limit else shown[: limit - 1] + "…"


def shown_name(member: str) -> str:
    """The name of an agent, or of one instance among several in short: the end of its id tells it
    from the others.
    """
    agent, mark, instance = member.partition("#")
    return f"{agent}{mark}{instance[-6:]}"


def _one(character: str) -> str:
    if character.isprintable() or character in _NEEDED:
        return character
    if character in "\t\r":
        return " "
    return REPLACEMENT if unicodedata.category(character) in _ACTING else character


def moment(seconds: float, form: str) -> str:
    """Local time in the given `strftime` form; a moment that no calendar has is left out."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime(form)
    except (ValueError, OverflowError, OSError):
        return "-"
