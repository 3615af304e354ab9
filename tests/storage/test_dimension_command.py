"""`argentbus migrate dimension`: says what goes, asks, and does it."""

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from storage.dimensions import TABLES
from tests.shell import Shell
from tests.storage.places import Place, fill, without_vectors

pytestmark = pytest.mark.anyio


async def test_the_command_says_what_it_will_do_and_asks(place: Place, shell: Shell) -> None:
    async with place.open(3) as (storage, raw):
        before = await fill(storage, raw)
    ask = ("migrate", "dimension", "4", *place.options)
    vectors = sum(row.embedding is not None for table in TABLES for row in before[table])
    dry = shell.run(*ask, "--dry-run")
    assert dry.returncode == 0
    assert "its vectors have 3 dimensions, and will have 4" in dry.stdout
    assert f"{vectors} vectors (0.0 MB) go: none is kept, and none is embedded anew" in dry.stdout
    assert "Processes set up for 3 are refused from then on" in dry.stdout
    anew = "memory_items_embedding" in dry.stdout
    assert anew == (place.backend == "postgres")
    for answer, said in ((None, "give --yes"), ("n\n", "nothing was changed")):
        ended = answered(shell, answer, *ask)
        assert ended.returncode == 1
        assert said in ended.stderr
    async with place.open(3) as (_, raw):
        assert await raw.everything() == before
    assert answered(shell, "y\n", *ask).returncode == 0
    async with place.open(4) as (_, raw):
        assert await raw.everything() == without_vectors(before)
    assert "have 4 dimensions already" in shell.run(*ask).stdout
    made = msgspec.json.decode(shell.run(*ask[:2], "5", *ask[3:], "--yes", "--json").stdout)
    assert (made["stored"], made["wanted"], made["made"], made["vectors"]) == (4, 5, True, 0)
    assert [one["table"] for one in made["tables"]] == list(TABLES)
    refused = shell.fails("memory", *place.options[:4], ARGENTBUS_DIMENSIONS="3")
    assert "keeps vectors of 5 dimensions" in refused
    shell.fails("migrate", "dimension", "2001", *place.options, status=2)


def answered(shell: Shell, answer: str | None, *arguments: str) -> Any:
    return subprocess.run(
        shell.command(*arguments),
        env=shell.env,
        input=answer,
        stdin=subprocess.DEVNULL if answer is None else None,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def test_a_file_that_is_not_there_is_not_made(shell: Shell, path: Path) -> None:
    said = shell.fails("migrate", "dimension", "4", "--yes", "--sqlite", str(path))
    assert "is not there" in said
    assert not path.exists()
