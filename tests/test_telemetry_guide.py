"""docs/telemetry.md is true: its program prints what it says, its tables are complete."""

import re
import subprocess
import sys
from typing import Any

from bus.telemetry.instruments import Instruments
from storage.sidecar.figures import Figures
from tests.shell import ROOT, Shell

GUIDE = (ROOT / "docs/telemetry.md").read_text()


def test_its_program_prints_what_it_says_also_again(own_redis: Any, shell: Shell) -> None:
    blocks = dict(re.findall(r"^```(python|text)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
    for _ in range(2):
        ended = subprocess.run(
            [
                sys.executable,
                "-c",
                blocks["python"].replace("redis://127.0.0.1:6380", own_redis.url),
            ],
            env=shell.env,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (ended.stdout, ended.stderr) == (blocks["text"], "")


class _Names:
    """Takes the place of a meter and of telemetry, to learn which instruments are made."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getattr__(self, kind: str) -> Any:
        return lambda name, *more, **options: self.names.add(name)


def test_every_metric_is_in_its_table_and_none_besides() -> None:
    made = _Names()
    Instruments(made)
    Figures(made, "storage:0", 0)  # type: ignore[arg-type]
    said: set[str] = set()
    for row in re.findall(r"^\| (`(?:messaging|argentbus)\..*?) \|", GUIDE, re.MULTILINE):
        first, *others = re.findall(r"`(.*?)`", row)
        last = first if not others else first.rsplit(".", 1 + others[0].count(".", 1))[0]
        said |= {first, *(last + other for other in others)}
    assert said == made.names
