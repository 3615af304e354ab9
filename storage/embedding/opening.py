"""The embedder that the settings ask for."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from storage.settings import ConfigurationError

from .bundled import BundledEmbedder
from .embedder import Embedder
from .endpoint import EndpointEmbedder
from .remembering import RememberingEmbedder

#: The variable with the key; the settings name a file instead.
KEY_VARIABLE = "ARGENTBUS_EMBEDDING_KEY"


class Chosen(Protocol):
    """As much of the settings as an embedder needs."""

    @property
    def embedder(self) -> str: ...
    @property
    def embedding_url(self) -> str | None: ...
    @property
    def embedding_model(self) -> str | None: ...
    @property
    def embedding_key_file(self) -> Path | None: ...
    @property
    def dimensions(self) -> int: ...


@asynccontextmanager
async def open_embedder(
    config: Chosen, env: Mapping[str, str] = os.environ
) -> AsyncGenerator[Embedder | None]:
    """The embedder of `config` until the context ends, or None. Models are read when first asked.

    Args:
        env: Where `ARGENTBUS_EMBEDDING_KEY` may be, which wins over the file.

    Raises:
        ConfigurationError: the file with the key cannot be used.
    """
    match config.embedder:
        case "endpoint":
            assert config.embedding_url is not None, "checked by StorageConfig"
            assert config.embedding_model is not None
            key = env.get(KEY_VARIABLE) or _read(config.embedding_key_file)
            async with EndpointEmbedder(
                config.embedding_url, config.embedding_model, config.dimensions, key=key
            ) as embedder:
                yield RememberingEmbedder(embedder)
        case "bundled":
            yield RememberingEmbedder(BundledEmbedder())
        case _:
            yield None


def _read(path: Path | None) -> str | None:
    """The key in a file; no message has any of it."""
    if path is None:
        return None
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{path} is open to others: `chmod 600 {path}`")
        key = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not a key, but binary") from None
    if not key or len(key.split()) != 1 or not key.isprintable():
        raise ConfigurationError(f"{path}: should have a key in it, and nothing else")
    return key
