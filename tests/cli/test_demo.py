"""`argentbus demo`: what it needs, what it counts, and that it leaves nobody behind."""

import contextlib
import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import psutil
import pytest

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
