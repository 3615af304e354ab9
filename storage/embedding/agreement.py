"""Settings of embeddings: what each may be, and what goes together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from storage.commands import DIMENSIONS
from storage.settings import ConfigurationError, Expectation, Source, shown

from .bundled import DIMENSIONS as BUNDLED
from .embedder import MOST_DIMENSIONS

EMBEDDERS: Final = ("none", "endpoint", "bundled")


def one_embedder(value: Any, _base: Path) -> str:
    """Check the kind of an embedder."""
    if value not in EMBEDDERS:
        raise Expectation(f"{shown(value)} should be one of {', '.join(EMBEDDERS)}")
    return str(value)


def endpoint_url(value: Any, _base: Path) -> str:
    """Check the URL of an embeddings endpoint."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        fine = bool(
            parts
            and parts.scheme in ("http", "https")
            and parts.hostname
            and (parts.port is None or parts.port > 0)
            and not parts.query
            and not parts.fragment
        )
    except ValueError:
        fine = False
    if not fine:
        raise Expectation(f"{shown(value)} should be a URL such as http://127.0.0.1:11434/v1")
    return str(value)


def model_name(value: Any, _base: Path) -> str:
    """Check the name of a model."""
    if not isinstance(value, str) or not value.strip() or len(value) > 200:
        raise Expectation(f"{shown(value)} should be the name of a model, such as nomic-embed-text")
    return value


def dimension_count(value: Any, _base: Path) -> int:
    """Check a number of dimensions; the environment gives it as text."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_DIMENSIONS:
        raise Expectation(f"{shown(value)} should be a whole number from 1 to {MOST_DIMENSIONS}")
    return value


def agreeing_embedding(found: Mapping[str, Any], sources: Mapping[str, Source]) -> dict[str, Any]:
    """The embedder and the dimensions, as they follow from each other.

    Raises:
        ConfigurationError: they contradict each other, or something is missing.
    """
    kind = found.get("embedder", "none")
    named = f"embedder {kind}" + ("" if "embedder" in sources else " (the default)")
    of_endpoint = [
        name for name in ("embedding_url", "embedding_model", "embedding_key_file") if name in found
    ]
    if kind == "endpoint":
        for name, what in (("embedding_url", "url"), ("embedding_model", "model")):
            if name not in found:
                raise ConfigurationError(
                    f"{sources['embedder']}: embedder endpoint needs a {what}: give "
                    f"storage.embedding.{what} in the settings file, or "
                    f"ARGENTBUS_EMBEDDING_{what.upper()}"
                )
    else:
        # Where an option or the environment names the embedder, the file's endpoint does not count.
        overruled = "embedder" in sources and sources["embedder"].layer != "file"
        for name in of_endpoint:
            if not (overruled and sources[name].layer == "file"):
                raise ConfigurationError(
                    f"{sources[name]}: contradicts {named}: it belongs to embedder endpoint"
                )
    dimensions = found.get("dimensions", BUNDLED if kind == "bundled" else DIMENSIONS)
    if kind == "bundled" and dimensions != BUNDLED:
        raise ConfigurationError(
            f"{sources['dimensions']}: {dimensions} contradicts embedder bundled, whose vectors "
            f"have {BUNDLED} dimensions"
        )
    settled: dict[str, Any] = {"embedder": kind, "dimensions": dimensions}
    if kind != "endpoint":
        settled |= dict.fromkeys(of_endpoint)
    return settled
