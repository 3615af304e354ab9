"""Signed envelopes: who says to have sent a message did send it, to where it arrived, as it is.

The signature is a keyed BLAKE2b MAC (RFC 7693) with the sender's secret over every other field of
the envelope and its destination: the key of the stream, or the channel. So nobody without the
secret can send in that name, change a field, or put a signed message anywhere else.

A MAC is symmetric: who can verify can sign. So an agent holds its own secret alone, which it signs
with, and trusted parties (the sidecar) hold the master secret, from which all others are derived,
and verify. An ordinary agent verifies what it can: messages in the names whose secrets it holds
(its own, and those it was trusted with) have to be signed right; others' reach it unverified, and
ACL users have to stand for those. Wherever a bus signs, the sender of a reply has to be the one who
was asked: that is proof where the signature is verified, and elsewhere keeps mistakes out.

What is not covered: that a message arrives (a signed one can be deleted), and that it arrives once.
A signed message can be put a second time into the same stream by whoever may read and write it.
Queues are at least once anyhow; what is live (topics, replies, cancellations) is refused when it
is older than `window`; the write log refuses a repetition (`seen`). Presence and states are not
envelopes, and not signed: Redis ACL users confine those.

Messages of a schedule are put by whoever is at work then, who cannot sign as the one who made it,
and should not vouch for what stands in Redis. So who states a schedule signs it, once, for its
queue: sender, type and body. That signature is kept with it, and every message of it bears it. It
does not cover when that is put, which who may write to the queue can choose, also after the
schedule was forgotten: as with any signed message that is put again. Such a message asks for no
reply.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bus.errors import SignatureRefused, SigningKeyUnusable
from bus.keys import check_name

if TYPE_CHECKING:
    from .envelope import Envelope

#: Bytes of a secret: no fewer than the least, no more than BLAKE2b takes as a key.
LEAST_SECRET: Final = 16
MOST_SECRET: Final = 64

#: Bytes of a signature.
DIGEST: Final = 24

#: How the signature of a schedule begins, which its messages bear.
_OF_A_SCHEDULE: Final = b"@"

#: Seconds by which the clocks of senders may be off, and for which what is live may travel.
WINDOW: Final = 300.0

#: Derived secrets that are kept, so that not every message costs a derivation.
_MOST_DERIVED: Final = 4096

#: Who the line of the master secret is of, in a key file; it cannot be an agent's id.
MASTER: Final = "*"

_encode: Final = msgspec.msgpack.Encoder().encode
_SECRET: Final = re.compile(r"(?:[0-9a-fA-F]{2}){16,64}\Z")


def derive(master: bytes, agent: str) -> bytes:
    """The secret of an agent: keyed BLAKE2b of its id, so that none tells of another."""
    return hashlib.blake2b(
        agent.encode(), key=master, digest_size=32, person=b"argentbus-agent"
    ).digest()


def signature(secret: bytes, destination: str, envelope: "Envelope") -> bytes:
    """The MAC over an envelope (but its signature) and where it goes."""
    said = (
        destination,
        envelope.id,
        envelope.type,
        envelope.sender,
        float(envelope.sent_at),
        bytes(envelope.body),
        envelope.reply_to,
        None if envelope.deadline is None else float(envelope.deadline),
        envelope.trace,
        envelope.version,
    )
    return hashlib.blake2b(
        _encode(said), key=secret, digest_size=DIGEST, person=b"argentbus-mac"
    ).digest()


def schedule_signature(secret: bytes, destination: str, envelope: "Envelope") -> bytes:
    """The MAC over what all messages of a schedule have in common, and where they go, with its
    mark.
    """
    said = (destination, envelope.type, envelope.sender, bytes(envelope.body), envelope.version)
    mac = hashlib.blake2b(
        _encode(said), key=secret, digest_size=DIGEST, person=b"argentbus-cron"
    ).digest()
    return _OF_A_SCHEDULE + mac


class Signing:
    """What one process signs with, and what it asks of others: `Bus.connect(..., signing=...)`.

    Args:
        secrets: This process's own, by the id of the agent; with `required` those of others too.
        master: Of a trusted party: from it the secret of every sender follows.
        required: Whether messages that are not signed, or wrongly, are refused: dead-lettered by
            consumers, counted as `refused` by feeds, rejected in logs. By default where there is a
            master; without one, messages in the names that `secrets` has, and no others. True
            without a master: those whose secret is not in `secrets` are refused as well. False:
            nothing is verified, as while a fleet is being given its secrets.
        window: Seconds that what is live may be old, and that the sender's clock may be off where
            repetitions are refused.

    Raises:
        SigningKeyUnusable: a secret is shorter than 16 bytes or longer than 64, or there is none.

    Example:
        trusted = Signing(master=bytes(range(32)))  # a random one; knows everybody's secret
        try:
            own = Signing({"scout": b"short"})
        except SigningKeyUnusable:
            own = Signing({"scout": trusted.secret("scout")})
        async with Bus.connect("redis://127.0.0.1:6380", signing=own) as signed:
            await signed.log("audit").append("all is well", sender="scout")
        await bus.log("audit").append("all is lost", sender="scout")
        for entry in await bus.log("audit").read():
            try:
                trusted.verify(entry.envelope, bus.log("audit").key)
            except SignatureRefused as error:
                print(error)  #> the message from 'scout' is not signed, and has to be here
    """

    def __init__(
        self,
        secrets: Mapping[str, bytes] | None = None,
        *,
        master: bytes | None = None,
        required: bool | None = None,
        window: float = WINDOW,
    ) -> None:
        self._secrets = {check_name("agent", agent): s for agent, s in (secrets or {}).items()}
        self._master = master
        self._derived: dict[str, bytes] = {}
        for secret in (*self._secrets.values(), *(() if master is None else (master,))):
            if not LEAST_SECRET <= len(secret) <= MOST_SECRET:
                raise SigningKeyUnusable(
                    f"a secret of {len(secret)} bytes cannot sign: use {LEAST_SECRET} to "
                    f"{MOST_SECRET} random ones"
                )
        if not self._secrets and master is None:
            raise SigningKeyUnusable("there is no secret to sign with: give one, or the master")
        self.required: Final = (master is not None) if required is None else required
        self._where_known = required is None
        self.window: Final = window

    @classmethod
    def read(cls, path: Path, *, required: bool | None = None) -> "Signing":
        """Read a key file: lines of an agent's id (`*` for the master) and a secret in hex.

        Raises:
            SigningKeyUnusable: it cannot be read, others than its owner's group may read it, or a
                line is not one. No message contains any of the file's text.
        """
        try:
            if path.stat().st_mode & 0o007:
                raise SigningKeyUnusable(f"{path} is open to everybody: `chmod 600 {path}`")
            lines = path.read_text(encoding="ascii").splitlines()
        except OSError as error:
            raise SigningKeyUnusable(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SigningKeyUnusable(f"{path}: is not a key file, but binary") from None
        secrets: dict[str, bytes] = {}
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) != 2 or not _SECRET.match(words[1]):
                raise SigningKeyUnusable(
                    f"{path}, line {number}: should be an agent's id (or * for the master) and 32 "
                    "to 128 hex digits"
                )
            if words[0] in secrets:
                raise SigningKeyUnusable(f"{path}, line {number}: the second secret of one name")
            secrets[words[0]] = bytes.fromhex(words[1])
        master = secrets.pop(MASTER, None)
        return cls(secrets, master=master, required=required)

    def __repr__(self) -> str:
        """Without secrets."""
        names = [*sorted(self._secrets), *(["everybody"] if self._master is not None else [])]
        return f"<Signing as {', '.join(names)}{', required' if self.required else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("secrets are not pickled: make a Signing anew from the key file")

    def secret(self, sender: str) -> bytes | None:
        """The secret of a sender, or None where it is not known here."""
        own = self._secrets.get(sender) or self._derived.get(sender)
        if own is None and self._master is not None:
            if len(self._derived) >= _MOST_DERIVED:  # senders are as many as a hostile hand likes
                self._derived.clear()
            own = self._derived[sender] = derive(self._master, sender)
        return own

    def sign(self, envelope: "Envelope", destination: str) -> "Envelope":
        """The envelope with its signature.

        Raises:
            SigningKeyUnusable: the secret of its sender is not held here.
        """
        own = self._own(envelope)
        return msgspec.structs.replace(envelope, signature=signature(own, destination, envelope))

    def sign_schedule(self, envelope: "Envelope", destination: str) -> "Envelope":
        """The envelope with the signature that all messages of a schedule bear.

        Raises:
            SigningKeyUnusable: the secret of its sender is not held here.
        """
        mac = schedule_signature(self._own(envelope), destination, envelope)
        return msgspec.structs.replace(envelope, signature=mac)

    def _own(self, envelope: "Envelope") -> bytes:
        secret = self.secret(envelope.sender)
        if secret is None:
            raise SigningKeyUnusable(
                f"no secret of {ascii(envelope.sender)[:80]} is held here: send as "
                f"{', '.join(sorted(self._secrets))}, or add its line to the key file"
            )
        return secret

    def verify(self, envelope: "Envelope", destination: str, *, live: bool = False) -> None:
        """Check the signature, where that is required, or the sender's secret is held here.

        Args:
            live: Whether the message cannot be older than `window`, if it is not a repetition.

        Raises:
            SignatureRefused: there is none, or it is not the sender's for this message here.
        """
        secret = self.secret(envelope.sender)
        if not self.required and not (self._where_known and secret is not None):
            return
        sender = ascii(envelope.sender)[:80]
        given = envelope.signature
        if given is None:
            raise SignatureRefused(f"the message from {sender} is not signed, and has to be here")
        if secret is None:
            raise SignatureRefused(f"no secret of {sender} is known here to verify its signature")
        scheduled = len(given) > DIGEST and given.startswith(_OF_A_SCHEDULE)
        mac = (schedule_signature if scheduled else signature)(secret, destination, envelope)
        if not hmac.compare_digest(mac, given):
            raise SignatureRefused(
                f"the signature is not that of {sender} for this message at this place: "
                "forged, changed, re-addressed, or signed with another secret"
            )
        if scheduled and (envelope.reply_to is not None or envelope.deadline is not None):
            raise SignatureRefused(
                f"the message from {sender} is signed as a schedule's, and asks for a reply, which "
                "those do not: it was changed"
            )
        # Not `>`: what is not a number is no time.
        if live and not abs(time.time() - envelope.sent_at) <= self.window:
            raise SignatureRefused(
                f"the message from {sender} is not of the last {self.window:g} s: a repetition, or "
                "a clock that is off"
            )
