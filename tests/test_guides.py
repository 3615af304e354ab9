"""The guides in docs/ are true: their programs print what they say, and their commands work."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.documents import Page, run_program
from tests.shell import ROOT, Shell

GUIDES = sorted((ROOT / "docs").glob("*.md"))

#: The one on telemetry gives its process a tracer provider, which can be done once in a process:
#: `test_telemetry_guide` runs it.
RUN_HERE = [path for path in GUIDES if path.stem != "telemetry"]

#: Most lines of a guide: it is to be read in one go.
MOST_LINES = 120


@pytest.mark.parametrize("path", RUN_HERE, ids=lambda path: path.stem)
def test_its_programs_print_what_it_says_also_again(
    path: Path, own_redis: Any, shell: Shell
) -> None:
    guide = Page(path)
    shell.env["ARGENTBUS_REDIS_URL"] = own_redis.url
    for block in guide.blocks:
        if block.kind == "sh":
            _run_commands(block.code, shell)
        elif block.kind == "python":
            ended = run_program(block.code, own_redis.url, shell.env, times=2)
            # What is refused or fails in it on purpose is logged, and so on stderr.
            shown = (block.output or "") * 2
            assert (ended.stdout, ended.returncode) == (shown, 0), ended.stderr


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_it_is_short_and_its_links_lead_somewhere(path: Path) -> None:
    guide = Page(path)
    assert len(guide.text.splitlines()) <= MOST_LINES
    assert guide.missing == []
    # `console` is for what only its reader can run; there is no other kind.
    assert {block.kind for block in guide.blocks} <= {"python", "sh", "text", "console", "json"}
    assert guide.of_kind("python") or guide.of_kind("sh")
    assert [block for block in guide.of_kind("python") if block.output is None] == []


def _run_commands(code: str, shell: Shell) -> None:
    for line in code.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "argentbus"
        ended = shell.run(*arguments)
        assert ended.returncode == 0, (line, ended.stdout, ended.stderr)
