"""`argentbus demo`: what it needs, what it counts, and that it leaves nobody behind."""

import contextlib
import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import psutil
import pytest

from argentbus.demo.outcome import Outcome, Stored
from bus import blocking
from tests.shell import ROOT, Shell
from tests.waiting import eventually


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pages of all kinds: hostile names, repeated sections, no sections, no text."""
    folder = tmp_path / "pages & more"
    (folder / "deep" / ".hidden").mkdir(parents=True)
    (folder / "one.md").write_text("# A\n\nfirst\n\n## B\n\nsecond\n\n```\n# no heading\n```\n")
    (folder / "deep" / "<b>two.md").write_text("no heading at all, and\0 a NUL")
    (folder / "deep" / "new\nline.md").write_text("# Same\n\nsame\n\n# Same\n\nsame\n")
    (folder / "deep" / ".hidden" / "no.md").write_text("# Not shown\n\nnot there\n")
    (folder / "empty.md").write_text("")
    (folder / "long.md").write_text("# Long\n\n" + "word " * 300_000)
    (folder / "latin.md").write_bytes(b"# \xe9t\xe9\n\nd\xe9j\xe0 vu\n")
    with contextlib.suppress(OSError):  # some file systems have no such names
        for byte in (b"\xff", b"\xfe"):
            page = folder / "deep" / (byte + b".md").decode(errors="surrogateescape")
            page.write_text(f"# X\n\n{byte!r}\n")
    return folder


def test_hostile_pages_are_counted_once_each(shell: Shell, folder: Path) -> None:
    copy = shell.up()
    ended = shell.run("demo", str(folder), "--json")
    assert ended.returncode == 0, ended
    outcome = json.loads(ended.stdout)
    pages = len([page for page in folder.rglob("*.md") if ".hidden" not in str(page)])
    assert outcome["pages"] == outcome["stored"]["completed"] == pages
    assert outcome["sections"] == outcome["stored"]["items"]
    assert outcome["stored"]["twice"] == outcome["dead_letters"] == 0
    with closing(sqlite3.connect(copy.running["sqlite_path"])) as database:
        texts = [row[0] for row in database.execute("SELECT summary FROM memory_items")]
    assert len(texts) == outcome["sections"]
    assert "one.md: B\nsecond\n\n```\n# no heading\n```" in texts
    assert not any("not there" in text for text in texts)


def test_it_can_be_given_again_and_what_is_known_is_not_doubled(shell: Shell, folder: Path) -> None:
    copy = shell.up()
    first, second = (json.loads(shell.run("demo", str(folder), "--json").stdout) for _ in "12")
    assert first["sections"] == second["sections"] == second["stored"]["items"]
    with closing(sqlite3.connect(copy.running["sqlite_path"])) as database:
        rows = database.execute("SELECT count(*) FROM memory_items").fetchone()
    assert rows == (first["sections"],)


def test_what_is_not_its_own_does_not_count(shell: Shell, folder: Path) -> None:
    copy = shell.up()
    with blocking.Bus.connect(copy.redis_url) as bus, bus.join("printer") as printer:
        printer.queue("pages", int).put(1)
    outcome = json.loads(shell.run("demo", str(folder), "--json").stdout)
    assert outcome["dead_letters"] == 0


def test_dead_letters_are_told_from_what_is_missing() -> None:
    outcome = Outcome(
        pages=2,
        sections=3,
        stored=Stored(items=3, missing=0, twice=0, completed=2),
        killed=1,
        unfinished=0,
        seconds_to_gone=1.0,
        seconds_to_done=1.0,
        dead_letters=0,
        queue="newsroom.pages",
    )
    assert outcome.agrees
    buried = msgspec.structs.replace(outcome, dead_letters=1)
    assert not buried.agrees
    assert buried.faults == [
        "1 messages became dead letters (`argentbus queues dead newsroom.pages`)"
    ]
    lost = msgspec.structs.replace(
        outcome, stored=msgspec.structs.replace(outcome.stored, items=2, missing=1)
    )
    assert lost.faults == ["1 sections are missing"]


def test_it_says_at_once_that_the_sidecar_asks_for_signatures(shell: Shell, tmp_path: Path) -> None:
    keys = tmp_path / "signing.key"
    keys.write_text(shell.run("acl", "secret").stdout)
    keys.chmod(0o600)
    asking = {"ARGENTBUS_SIGNING_KEY_FILE": str(keys)}
    shell.env |= asking
    shell.up()
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "one.md").write_text("# A\n\nfirst\n\n# B\n\nsecond\n\n# C\n\nthird\n")
    signed = shell.run("demo", str(tmp_path / "pages"))
    assert signed.returncode == 0, signed
    del shell.env["ARGENTBUS_SIGNING_KEY_FILE"]
    said = shell.fails("demo", str(tmp_path / "pages"))
    assert "refuses what is not signed" in said
    assert "ARGENTBUS_SIGNING_KEY_FILE" in said


def test_a_folder_without_text_is_named(shell: Shell, tmp_path: Path) -> None:
    shell.up()
    (tmp_path / "nothing").mkdir()
    said = shell.fails("demo", str(tmp_path / "nothing"))
    assert f"no Markdown text (*.md) below {tmp_path / 'nothing'}" in said


def test_a_second_one_waits_for_its_turn(shell: Shell, folder: Path) -> None:
    shell.up()
    demo = shell.start("demo", str(folder))
    assert demo.stdout is not None
    assert demo.stderr is not None
    with demo.stdout, demo.stderr:
        assert "three agents are on the bus" in demo.stdout.readline()
        assert "another demonstration runs" in shell.fails("demo", str(folder))
        assert "The counts agree" in demo.stdout.read()
        assert demo.wait(30) == 0


def test_it_says_to_start_what_it_needs(shell: Shell, redis_server, namespace: str) -> None:
    said = shell.fails("demo", "--redis-url", redis_server.url, "--namespace", namespace)
    assert "no sidecar is present" in said
    assert "make up" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_its_agents_end_with_it(shell: Shell, number: signal.Signals) -> None:
    shell.up()
    demo = shell.start("demo", str(ROOT))
    assert demo.stdout is not None
    assert demo.stderr is not None
    with demo.stdout, demo.stderr:
        assert "three agents are on the bus" in demo.stdout.readline()
        children = {str(child.pid): child for child in psutil.Process(demo.pid).children()}
        assert len(children) == 4
        demo.send_signal(number)
        demo.wait(30)
        await shell.gone(children)
        assert "Traceback" not in demo.stderr.read()
    await eventually(lambda: "writer" not in shell.run("agents", "--json").stdout, timeout=20)
