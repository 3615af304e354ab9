"""What the bus tells of itself: spans and metrics by OpenTelemetry, events in logs.

Without the package `opentelemetry`, or where no provider of it was set up, nothing is told, and
nothing is paid for it.
"""

import os
import sys
from typing import Any

from bus.errors import BusError

from .telemetry import SILENT, Destination, Operation, Processing, Telemetry

__all__ = [
    "SILENT",
    "Destination",
    "Operation",
    "Processing",
    "Telemetry",
    "installed",
    "recording",
]

#: With one of these in the environment, OpenTelemetry finds its providers by itself.
_FOUND_BY = ("OTEL_PYTHON_TRACER_PROVIDER", "OTEL_PYTHON_METER_PROVIDER")


def installed() -> Telemetry:
    """What tells the process's own providers of OpenTelemetry, where they are set up by now.

    Otherwise nothing is told, also if they are set up later.
    """
    # Who set a provider up has imported the package: nobody else need pay for the import.
    if "opentelemetry" not in sys.modules and not any(name in os.environ for name in _FOUND_BY):
        return SILENT
    try:
        from . import recorder
    except ModuleNotFoundError as error:
        _check_missing(error)
        return SILENT
    return recorder.installed()


def recording(tracer_provider: Any = None, meter_provider: Any = None) -> Telemetry:
    """What tells these providers of OpenTelemetry, by default the process's own, whenever set up.

    Raises:
        BusError: the package is not installed.
    """
    try:
        from .recorder import Recorder
    except ModuleNotFoundError as error:
        _check_missing(error)
        raise BusError(
            "telemetry needs the package opentelemetry: `pip install 'argentbus[otel]'`"
        ) from error
    return Recorder.of(tracer_provider, meter_provider)


def _check_missing(error: ModuleNotFoundError) -> None:
    if (error.name or "").partition(".")[0] != "opentelemetry":
        raise error
