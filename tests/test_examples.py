"""The examples, run as a reader would run them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def test_coordination(redis_server: Any, namespace: str) -> None:
    shown = subprocess.run(
        [sys.executable, "examples/coordination.py", redis_server.url],
        cwd=ROOT,
        env={**os.environ, "ARGENTBUS_NAMESPACE": namespace, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert shown.stdout.splitlines() == [
        "holding lock report for 10 s at a time: True",
        "the lock is another's",
        "two readers at once",
        "both or none: blue, red",
        "both permits in use",
        "the run of this hour, attempt 1, run of heartbeat:scout",
        "and no other: None",
        "scout leads",
        "refused: Step(what='dig', done=True) stands",
        "the map: []",
        "put step-1",
        "put step-1",
        "put draft",
        "expired draft",
        "left: ['step-1']",
    ]
    assert shown.stderr == ""
