"""The bus's metrics: names, units, and what each counts.

Where OpenTelemetry's conventions for messaging have a name, it is that
(https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/); the others begin with
`argentbus`.
"""

from typing import Any, Final

#: Upper bounds of a histogram of seconds, as the conventions advise.
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)

#: For waits that may well take minutes.
LONG: Final = (0.001, *SECONDS, 30, 60, 300, 1800)


class Instruments:
    """All of them, made by one meter."""

    def __init__(self, meter: Any) -> None:
        counter, histogram = meter.create_counter, meter.create_histogram
        self.sent = counter(
            "messaging.client.sent.messages",
            "{message}",
            "Messages that were handed to Redis, or should have been",
        )
        self.consumed = counter(
            "messaging.client.consumed.messages",
            "{message}",
            "Messages that were handed to the application",
        )
        self.operations = histogram(
            "messaging.client.operation.duration",
            "s",
            "Duration of sending, and of requests with their answers",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self.processing = histogram(
            "messaging.process.duration",
            "s",
            "Duration of handling a message",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self.processed = counter(
            "argentbus.processed.messages", "{message}", "Messages handled, by their outcome"
        )
        self.retries = counter(
            "argentbus.queue.retries", "{message}", "Deliveries that are to be tried again"
        )
        self.dead = counter(
            "argentbus.queue.dead_letters", "{message}", "Messages that became dead letters"
        )
        self.reclaimed = counter(
            "argentbus.queue.reclaimed",
            "{message}",
            "Deliveries that were taken over from consumers that died",
        )
        self.dropped = counter(
            "argentbus.topic.dropped", "{message}", "Events for which a feed had no room"
        )
        self.lock_wait = histogram(
            "argentbus.lock.wait.duration",
            "s",
            "Time until a lock was had, or not",
            explicit_bucket_boundaries_advisory=LONG,
        )
        self.reconnects = counter(
            "argentbus.connection.reconnects", "{connection}", "Connections that were made again"
        )
        self.late = counter(
            "argentbus.heartbeat.late",
            "{heartbeat}",
            "Heartbeats begun more than half their interval late, or not taken by Redis",
        )
        self.agents = meter.create_up_down_counter(
            "argentbus.agents.present", "{agent}", "Agents of this process that are present"
        )
