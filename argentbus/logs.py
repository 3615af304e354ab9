"""The logs of our own processes: where they go, how they look, how much they say."""

import logging
import sys
from typing import Any, Final, NamedTuple

import click

FORMATS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")


class Logs(NamedTuple):
    """How this process logs.

    Attributes:
        level: None: as little as a command says, as much as a service does.
    """

    format: str
    level: str | None

    def set_up(self) -> None:
        """Log to standard error from now on."""
        # Imported here: `argentbus --version` need not wait for the drivers.
        from bus.telemetry.formats import JsonFormatter, TextFormatter

        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonFormatter() if self.format == "json" else TextFormatter())
        logging.basicConfig(handlers=[handler], level=(self.level or "warning").upper())
        if self.format == "json":
            # What is written among JSON lines has to be one.
            logging.captureWarnings(capture=True)

    def environment(self) -> dict[str, str]:
        """What makes a service log like this process."""
        return {
            "ARGENTBUS_LOG_FORMAT": self.format,
            "ARGENTBUS_LOG_LEVEL": self.level or "info",
        }


def say_why(message: str) -> None:
    """Say on standard error why this process ends."""
    if _in_json():
        _log("it cannot go on", error=message)
    else:
        click.echo(f"argentbus: {message}", err=True)


def say_bug(error: BaseException) -> bool:
    """Log an error that nobody foresaw; return False where its traceback should be printed."""
    if _in_json():
        _log("an error that was not foreseen ends it", exc_info=error)
        return True
    return False


def _log(words: str, **facts: Any) -> None:
    from bus.telemetry.journal import Journal

    Journal("argentbus").critical(words, **facts)


def _in_json() -> bool:
    handlers = logging.getLogger().handlers
    return any(type(handler.formatter).__name__ == "JsonFormatter" for handler in handlers)
