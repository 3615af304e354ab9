"""Take a picture of the dashboard in headless Chromium, once it shows what it should.

Start `argentbus up`, then these two, then `argentbus demo` in another shell:

    python docs/screenshot.py docs/three-agents.png --agents 3 &
    python docs/screenshot.py docs/after-the-kill.png --expired 1 &

Chromium is driven over a pipe (Chrome DevTools Protocol), with the standard library alone.
"""

import argparse
import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROWS = "[...document.querySelectorAll('{}')]"
#: Agents, without the services beside them.
AGENTS = ROWS.format("#agents tr") + ".filter(row => !row.textContent.includes('sidecar')).length"
EXPIRED = ROWS.format("#gone tr.expired") + ".length"


class Browser:
    """A Chromium at the other end of two pipes."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = os.fdopen(commands, "wb", buffering=0)
        self._answers = os.fdopen(answers, "rb", buffering=0)
        self._session: str | None = None
        self._number = 0
        self._unread = b""

    def attach(self) -> None:
        """Open a page; what is called from now on is for it."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._read())
            if answer.get("id") == self._number:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    def holds(self, expression: str) -> bool:
        """Whether a JavaScript expression is true on the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value") is True

    def close(self) -> None:
        """Let go of the pipes."""
        with contextlib.suppress(OSError):
            self._commands.close()
        self._answers.close()

    def _read(self) -> bytes:
        while b"\0" not in self._unread:
            some = self._answers.read(1 << 16)
            if not some:
                sys.exit("chromium ended unexpectedly")
            self._unread += some
        message, _, self._unread = self._unread.partition(b"\0")
        return message


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Start a Chromium with a profile of its own, and end it."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        sys.exit("no chromium here: on Debian, `apt-get install chromium`")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--remote-debugging-pipe",
    ]
    for_browser, commands = os.pipe()
    answers, from_browser = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # The protocol's pipes are the browser's descriptors 3 and 4.
        shell = ["sh", "-c", f'exec "$@" 3<&{for_browser} 4>&{from_browser}', "sh", program]
        process = subprocess.Popen(
            [*shell, *flags, f"--user-data-dir={profile}"],
            pass_fds=(for_browser, from_browser),
            stderr=subprocess.DEVNULL,
        )
        os.close(for_browser)
        os.close(from_browser)
        browser = Browser(commands, answers)
        try:
            browser.attach()
            yield browser
        finally:
            browser.close()
            process.kill()
            process.wait()


def take(browser: Browser, options: argparse.Namespace) -> None:
    """Wait until the page shows what it should, and write the picture."""
    mobile = options.width < 600
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=options.width,
        height=options.height,
        deviceScaleFactor=2 if mobile else 1,
        mobile=mobile,
    )
    scheme = {"name": "prefers-color-scheme", "value": options.scheme}
    browser.call("Emulation.setEmulatedMedia", features=[scheme])
    browser.call("Page.navigate", url=options.url)
    wanted = f"{AGENTS} >= {options.agents} && {EXPIRED} >= {options.expired}"
    wanted += " && document.getElementById('link').dataset.state === 'live'"
    deadline = time.monotonic() + options.timeout
    while not browser.holds(wanted):
        if time.monotonic() > deadline:
            sys.exit(f"the page did not show that within {options.timeout:g} s")
        time.sleep(0.1)
    # A breath for the second sample, so that heartbeats and queues are in the picture.
    time.sleep(options.settle)
    picture = browser.call("Page.captureScreenshot", format="png")["data"]
    options.picture.write_bytes(base64.b64decode(picture))
    print(options.picture)


def main() -> None:
    """Read the command line and take the picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8377/")
    parser.add_argument("--agents", type=int, default=0, help="wait for so many agents")
    parser.add_argument("--expired", type=int, default=0, help="wait for so many expired ones")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    parser.add_argument("--settle", type=float, default=1.5, help="seconds to wait after that")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds")
    options = parser.parse_args()
    with chromium() as browser:
        take(browser, options)


if __name__ == "__main__":
    main()
