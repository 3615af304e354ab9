"""Messages into envelopes and out of them, signed and verified as the bus was told to."""

from typing import Final

from bus.errors import MessageTooLarge, UndecodableMessage
from bus.telemetry import SILENT, Telemetry

from .envelope import Envelope, unwrap, wrap
from .signing import Signing


class Sealing:
    """What a bus signs with, in whose name, and what it asks of what it receives.

    Attributes:
        telemetry: Told of what goes on.
    """

    def __init__(
        self,
        instance: str,
        signing: Signing | None,
        most_message_bytes: int,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self.telemetry: Final = telemetry
        self.instance: Final = instance
        self.signing: Final = signing
        self._most_message_bytes = most_message_bytes

    def wrap(
        self,
        destination: str,
        body: object,
        *,
        sender: str,
        type: str | None = None,
        reply_to: str | None = None,
        deadline: float | None = None,
        message_id: str | None = None,
    ) -> tuple[str, bytes]:
        """Put `body` into an envelope for a stream or channel, signed where this bus signs.

        What is sent in the name of the bus instance itself, and not of an agent, is unsigned where
        there is no secret for it. The span that is current here travels along.

        Args:
            deadline: In seconds since the epoch: after that nobody waits for a reply.

        Raises:
            UndecodableMessage: the body is of a type that msgspec cannot encode.
            SigningKeyUnusable: the secret of the sender is not held here.
        """
        return wrap(
            body,
            sender=sender,
            type=type,
            reply_to=reply_to,
            deadline=deadline,
            message_id=message_id,
            trace=self.telemetry.traceparent(),
            signing=self._signing_as(sender),
            destination=destination,
        )

    def wrap_schedule(self, destination: str, body: object, *, sender: str) -> Envelope:
        """An envelope like those that a schedule is to put into a stream, with the signature for
        all of them where this bus signs. Raises as `wrap` does.
        """
        envelope = unwrap(wrap(body, sender=sender)[1])
        signing = self._signing_as(sender)
        return signing.sign_schedule(envelope, destination) if signing else envelope

    def _signing_as(self, sender: str) -> Signing | None:
        signing = self.signing
        if signing is not None and sender == self.instance and signing.secret(sender) is None:
            return None
        return signing

    def unwrap(self, destination: str, raw: bytes, *, live: bool = False) -> Envelope:
        """Read an envelope that arrived at a stream or channel.

        Args:
            live: Whether it has just been sent, if it is not a repetition.

        Raises:
            UndecodableMessage: it is not one, or is larger than this bus carries: who sent it was
                told of another limit.
            SignatureRefused: its signature is not right, and has to be here.
        """
        if len(raw) > self._most_message_bytes:
            raise UndecodableMessage(
                f"a message of {len(raw):,} bytes is larger than the {self._most_message_bytes:,} "
                "this bus carries (most_message_bytes)"
            )
        envelope = unwrap(raw)
        if self.signing is not None:
            self.signing.verify(envelope, destination, live=live)
        return envelope

    def check_size(self, message: bytes) -> None:
        """Raise `MessageTooLarge` where an encoded message is larger than this bus carries."""
        if len(message) > self._most_message_bytes:
            raise MessageTooLarge(
                f"a message of {len(message):,} bytes is larger than the "
                f"{self._most_message_bytes:,} this bus carries: store the content elsewhere, "
                "and send where it is"
            )
