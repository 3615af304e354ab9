"""Sealing: AES-256-GCM (NIST SP 800-38D), as text `enc:v1:<iv>:<tag>:<ciphertext>`, each in hex.

What a secret is of goes into the tag as associated data: copied to another row, it opens no more.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.model.secrets import SEALED

#: Bytes of a key, of an initialisation vector, of a tag.
KEY: Final = 32
IV: Final = 12
TAG: Final = 16


def seal(key: bytes, identity: str, clear: str) -> str:
    """Encrypt a text, with an initialisation vector of its own.

    Args:
        key: 32 bytes.
        identity: What it is of: opening it takes the same one.
    """
    iv = os.urandom(IV)
    made = AESGCM(key).encrypt(iv, clear.encode(), identity.encode())
    return f"enc:v1:{iv.hex()}:{made[-TAG:].hex()}:{made[:-TAG].hex()}"


def unseal(key: bytes, identity: str, sealed: str) -> str | None:
    """What was sealed; None where the key, the identity or the text is not the one of then."""
    match = SEALED.fullmatch(sealed)
    if match is None:
        return None
    iv, tag, ciphertext = (bytes.fromhex(part) for part in match.groups())
    try:
        return AESGCM(key).decrypt(iv, ciphertext + tag, identity.encode()).decode()
    except InvalidTag:
        return None
