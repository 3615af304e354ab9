"""`argentbus secrets`: stored from standard input or a file, listed, rotated, and put down."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from argentbus.cli import run
from tests.shell import Shell

CLEAR = "sk-hunter2-hunter2"


class Ended(NamedTuple):
    """What a command came to."""

    status: int
    out: str
    err: str


Call = Callable[..., Ended]


@pytest.fixture
def master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A master key file that the settings name."""
    path = tmp_path / "master.key"
    monkeypatch.setenv("ARGENTBUS_MASTER_KEY_FILE", str(path))
    return path


@pytest.fixture
def call(
    tmp_path: Path,
    master: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Call:
    """The command line in this process: a new one for each of so many would take long."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def called(*arguments: str, value: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(value)))
        where = [] if "new-key" in arguments else ["--sqlite", str(tmp_path / "memory.db")]
        status = run(["secrets", *arguments, *where])
        return Ended(status, *capsys.readouterr())

    master.write_text(called("new-key").out)
    master.chmod(0o600)
    return called


def test_keys_are_stored_listed_disabled_rotated_and_put_down(
    call: Call, master: Path, tmp_path: Path
) -> None:
    done = call("put", "A_KEY", "--agent", "scout", value=f"{CLEAR}\n".encode())
    assert done == (0, "A_KEY is stored\n", "")
    file = tmp_path / "value"
    file.write_text(CLEAR)
    assert call("put", "B_KEY", "--file", str(file), "--everybody").status == 0
    login = ("--provider", "openai", "--type", "oauth")
    assert call("put-credential", "me", *login, value=b"x").status == 0
    assert call("disable", "A_KEY").out == "A_KEY is disabled\n"
    listed = call("list").out
    for words in ("agent scout", "everybody", "disabled", "operators"):
        assert words in listed
    found = json.loads(call("list", "--json").out)
    assert [one["variable"] for one in found["service_keys"]] == ["A_KEY", "B_KEY"]
    assert "encrypted" not in str(found)

    old = master.read_text()
    master.write_text(call("new-key").out + old)
    assert json.loads(call("rotate", "--json").out) == {"resealed": 3, "current": 0}
    assert "0 secrets are encrypted anew, 3 already were" in call("rotate").out
    assert call("enable", "A_KEY").status == call("enable", "me", "--credential").status == 0
    assert call("put", "A_KEY", value=b"other").status == 0
    uses = json.loads(call("audit", "--name", "A_KEY", "--json").out)
    assert [use["outcome"] for use in uses] == [
        *("stored", "enabled", "rotated", "disabled", "stored")
    ]
    [one] = json.loads(call("list", "--json").out)["service_keys"][:1]
    assert one["allowed_agents"] == ["scout"]
    assert "(operator)" in call("audit").out
    master.write_text(old)
    ended = call("rotate")
    assert ended.status == 1
    assert "cannot be decrypted" in ended.err
    stored = b"".join(one.read_bytes() for one in tmp_path.glob("memory.db*"))
    assert CLEAR.encode() not in stored


def test_what_is_missing_is_said(call: Call, master: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value, *arguments, problem in (
        (b"", "put", "K", "--everybody", "there is no value"),
        (b"\xff", "put", "K", "--everybody", "not UTF-8"),
        (b"x", "put", "K", "say who may use it"),
        (b"x", "put", "K", "--everybody", "--agent", "a", "give one of"),
        (b"x", "disable", "K", "there is no service key K"),
    ):
        ended = call(*arguments, value=value)
        assert ended.status in (1, 2)
        assert problem in ended.err
    master.chmod(0o644)
    assert "chmod 600" in call("put", "K", "--everybody", value=b"x").err
    monkeypatch.delenv("ARGENTBUS_MASTER_KEY_FILE")
    assert "ARGENTBUS_MASTER_KEY_FILE" in call("put", "K", "--everybody", value=b"x").err


def test_a_process_reads_the_value_from_its_standard_input(
    shell: Shell, call: Call, master: Path, tmp_path: Path
) -> None:
    value = tmp_path / "value"
    value.write_text(CLEAR)
    with value.open() as stdin:
        where = ("--sqlite", str(tmp_path / "memory.db"))
        shell.env["ARGENTBUS_MASTER_KEY_FILE"] = str(master)
        process = shell.start("secrets", "put", "K", "--everybody", *where, stdin=stdin)
        out, err = process.communicate(timeout=40)
    assert (process.returncode, out, err) == (0, "K is stored\n", "")
    assert json.loads(call("list", "--json").out)["service_keys"][0]["variable"] == "K"
