"""Ends the process groups it was told of when whoever told it is gone, however that came about.

Run as a script. It reads `+<group>` and `-<group>` lines; the end of its input means that the
supervisor is gone, kill -9 included. It then ends what is left, the newest first, with SIGTERM
and, for what does not go, SIGKILL. It imports nothing of ours, to start at once.
"""

import os
import signal
import sys
import time

#: Seconds that a process may take to end in good order.
PATIENCE = 10.0


def main() -> None:
    """Follow the lines on standard input, then clear up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, None] = {}
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups[group] = None
        else:
            groups.pop(group, None)
    for group in reversed(groups):
        end(group)


def end(group: int) -> None:
    """End a process group: SIGTERM, and SIGKILL for what is still there after `PATIENCE`."""
    deadline = time.monotonic() + PATIENCE
    try:
        os.killpg(group, signal.SIGTERM)
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.02)
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # it is gone, or its number is another's by now


if __name__ == "__main__":
    main()
