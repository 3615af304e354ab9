"""A change of the vectors' dimension, in words: what `argentbus migrate dimension` says first."""

from collections.abc import Iterator

from storage.config import StorageConfig
from storage.dimensions import Change


def in_words(change: Change, config: StorageConfig) -> Iterator[str]:
    """What it will do, line by line."""
    old, new = change.stored, change.wanted
    yield f"{change.database}: its vectors have {old} dimensions, and will have {new}."
    yield ""
    yield f"{'table':<18} {'rows':>10} {'vectors':>10} {'size':>10}"
    for one in change.tables:
        yield f"{one.table:<18} {one.rows:>10,} {one.vectors:>10,} {_size(one.size):>10}"
    yield ""
    yield (
        f"{change.vectors:,} vectors ({_size(change.size)}) go: none is kept, and none is embedded "
        "anew by this command."
    )
    yield "Every row stays; one without a vector is found by its words."
    yield from _embedding(config, new)
    yield from _tables(change)
    yield (
        f"Processes set up for {old} are refused from then on: set storage.embedding.dimensions "
        f"(or ARGENTBUS_DIMENSIONS) to {new}, and start them again."
    )
    yield (
        f"What then waits in Redis with vectors of {old} is set aside as dead letters: let the "
        "sidecars finish before (the dashboard shows what waits)."
    )


def _embedding(config: StorageConfig, new: int) -> Iterator[str]:
    if config.embedder == "none":
        yield "No embedder is configured: vectors come from whoever writes."
    elif config.embedder == "bundled" and config.dimensions != new:
        yield (
            f"The embedder bundled makes vectors of {config.dimensions} dimensions: with {new} it "
            "cannot be used."
        )
    else:
        yield (
            f"The embedder {config.embedder} embeds what is written from then on; what is there "
            "stays without a vector until it is written again, or given one (`embed_item`)."
        )


def _tables(change: Change) -> Iterator[str]:
    if not change.indexes:
        yield "No index is built anew. The file keeps its size; the room in it is used again."
        return
    yield (
        f"The {len(change.tables)} tables are written anew with their {len(change.indexes)} "
        f"indexes ({_size(change.index_size)}); nobody reads or writes them meanwhile:"
    )
    yield f"  {', '.join(change.indexes)}"


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
