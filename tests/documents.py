"""Documents whose code is run: the blocks of a Markdown page, and what they have to print."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.shell import ROOT

#: Where a program of a page finds Redis, until it is told otherwise.
DEFAULT_URL = "redis://127.0.0.1:6380"


class Block(NamedTuple):
    """A code block, and the output block that follows it, if one does."""

    kind: str
    code: str
    output: str | None


class Page:
    """A Markdown page of the project."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text()
        found = re.findall(r"^```(\w+)\n(.*?)^```", self.text, re.MULTILINE | re.DOTALL)
        behind = [*found[1:], ("", "")]
        self.blocks = [
            Block(kind, code, output if following == "text" else None)
            for (kind, code), (following, output) in zip(found, behind, strict=True)
        ]

    def of_kind(self, kind: str) -> list[Block]:
        return [block for block in self.blocks if block.kind == kind]

    @property
    def missing(self) -> list[str]:
        """What it links to in the project, and is not there."""
        targets = re.findall(r"\]\((?!https?:)([^)#]+)", self.text)
        return [target for target in targets if not (self.path.parent / target).exists()]


#: Runs a program so many times, each as if it were the first, and pays for its imports once.
_RUN = """
import sys
for _ in range(int(sys.argv[2])):
    exec(compile(sys.argv[1], "<program>", "exec"), {"__name__": "__main__"})
"""


def run_program(
    code: str, url: str, env: Mapping[str, str], *, times: int = 1
) -> subprocess.CompletedProcess[str]:
    """Run a program of a page on another Redis, to its end."""
    told = code.replace(DEFAULT_URL, url)
    assert told != code, f"the program connects to nothing:\n{code}"
    return subprocess.run(
        [sys.executable, "-c", _RUN, told, str(times)],
        cwd=ROOT,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
