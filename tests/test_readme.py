"""README.md is true: its commands and programs do what it says, on a running copy."""

import os
import re
import subprocess

from tests.documents import Page, run_program
from tests.shell import ROOT, Shell

README = Page(ROOT / "README.md")
PROGRAMS = README.of_kind("python")
COMMANDS = README.of_kind("sh")


def test_the_commands_start_it_and_show_what_the_readme_shows(shell: Shell) -> None:
    assert [block.code for block in COMMANDS] == ["make up\n", ".venv/bin/argentbus demo\n"]
    env = {k: v for k, v in os.environ.items() if k != "ARGS" and "MAKE" not in k}
    made = subprocess.run(
        ["make", "-n", "up"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert made.stdout.splitlines()[-1].strip() == "exec .venv/bin/argentbus up"
    shell.up()
    ended = shell.run("demo")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    shown, printed = _words(COMMANDS[1].output or ""), _words(ended.stdout)
    assert len(shown) == 5
    assert [line for line in printed if line in shown] == shown
    assert re.search(r"killed the writer with SIGKILL.*; it held [1-9]", ended.stdout)
    assert "the writer is marked gone" in ended.stdout


def test_the_programs_print_what_it_says_also_again_and_after_the_demo(shell: Shell) -> None:
    copy = shell.up()
    assert shell.run("demo").returncode == 0
    assert len(PROGRAMS) >= 4
    for block in PROGRAMS * 2:
        ended = run_program(block.code, copy.redis_url, shell.env)
        assert (ended.stdout, ended.stderr) == (block.output, "")


def test_what_it_links_to_is_there() -> None:
    assert README.missing == []
    guides = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert guides
    assert {guide for guide in guides if f"](docs/{guide})" not in README.text} == set()


def _words(text: str) -> list[str]:
    """The lines of `text`, their numbers and spaces evened out; the database's place left out."""
    lines = (re.sub(r"\d+", "N", " ".join(line.split())) for line in text.splitlines())
    return [line.partition(" The database is ")[0] for line in lines if line]
