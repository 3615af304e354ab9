"""TLS to a server: whom to trust, who we are, and what to do where that fails."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bus.errors import BusError


@dataclass(frozen=True)
class Tls:
    """How to speak TLS.

    Attributes:
        ca: File (PEM) with the certificate authorities to trust; None: those of the system.
        cert, key: Files (PEM) with a certificate of ours and its key, where the server asks for one
            (mutual TLS). The key may stand in the certificate's file.
        verify: `full`: the certificate has to name the host that was connected to; `ca`: it is
            enough that a trusted authority signed it.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = field(default=None, repr=False)
    verify: Literal["full", "ca"] = "full"

    @classmethod
    def of(cls, options: Mapping[str, str]) -> "Tls":
        """Read the options of a URL.

        Raises:
            BusError: they make no sense together.
        """
        verify = options.get("verify", "full")
        if verify not in {"full", "ca"}:
            raise BusError("verify should be full or ca: a connection is never left unverified")
        if options.get("key") and not options.get("cert"):
            raise BusError("a key needs its certificate: add cert=FILE to the Redis URL")
        return cls(
            ca=options.get("ca"),
            cert=options.get("cert"),
            key=options.get("key"),
            verify="ca" if verify == "ca" else "full",
        )

    def context(self) -> ssl.SSLContext:
        """Read the files.

        Raises:
            BusError: one of them cannot be read, or is not what it should be.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ValueError) as error:
            raise BusError(_unreadable("ca", self.ca, error)) from None
        context.check_hostname = self.verify == "full"
        if self.cert is not None:
            try:
                # No password: OpenSSL would ask for one on the terminal.
                context.load_cert_chain(self.cert, self.key, password=lambda: b"")
            except (OSError, ValueError) as error:
                raise BusError(_unreadable("cert and key", self.cert, error)) from None
        return context


def _unreadable(what: str, path: str | None, error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "not PEM"
    return (
        f"cannot use {path} for TLS ({reason}): {what} in the Redis URL should name PEM files that "
        "belong together and can be read, the key without a password"
    )


def advice(error: BaseException) -> str | None:
    """What to do about an error of TLS, or None where it is not one."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in {62, 64}:  # the name, or the address, is not the certificate's
            return (
                "its certificate is another host's: connect by a name that stands in it, or write "
                "verify=ca in the URL"
            )
        if error.verify_code in {9, 10}:
            return "its certificate is not valid at this time: renew it, or set the clock"
        return "its certificate is not trusted: name the authority that signed it, with ca=FILE"
    if not isinstance(error, ssl.SSLError):
        return None
    text = str(error).lower()
    if "certificate required" in text or "handshake failure" in text:
        return "it wants a certificate of ours: name one with cert=FILE&key=FILE in the URL"
    if "alert" in text and ("unknown ca" in text or "certificate" in text):
        return "it does not accept our certificate: cert=FILE should be signed by one it trusts"
    if "wrong version number" in text or "record layer" in text or "packet length" in text:
        return "it does not speak TLS there: write redis:// instead of rediss://, or its TLS port"
    return None
