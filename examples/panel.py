"""Scatter and gather: everybody with a role is asked, and whatever answers come in time count.

    python examples/panel.py review ada             # a reviewer; any number of them
    python examples/panel.py ask README.md          # ask all of them, and wait 2 s at most

It runs on the Redis of `argentbus up`, or the one that ARGENTBUS_REDIS_URL names.
"""

import os
import sys

import anyio
import msgspec

from bus import Bus, NobodyPresent, RequestFailed

URL = os.environ.get("ARGENTBUS_REDIS_URL", "redis://127.0.0.1:6380")
NAMESPACE = os.environ.get("ARGENTBUS_NAMESPACE", "argent")


class Question(msgspec.Struct):
    path: str


class Verdict(msgspec.Struct):
    longest: int
    fine: bool


async def review(bus: Bus, name: str) -> None:
    """Answer until Ctrl-C. An error in the block is what whoever asked gets as the answer."""
    async with bus.join(name, role="reviewer", ttl=5) as agent:
        print(f"{name} is here", flush=True)
        async for delivery in agent.inbox(Question):
            async with delivery:  # cancelled when nobody waits for the answer any more
                text = await anyio.Path(delivery.body.path).read_text()
                longest = max(map(len, text.splitlines()), default=0)
                await delivery.reply(Verdict(longest, fine=longest <= 120))


async def ask(bus: Bus, path: str, timeout: float) -> None:
    async with bus.join(f"editor-{os.getpid()}") as agent:
        try:
            asking = agent.gathering(Question(path), Verdict, role="reviewer", timeout=timeout)
            async with asking as answers:
                async for answer in answers:  # as they arrive
                    if answer.reply is not None:
                        print(f"{answer.agent}: {'fine' if answer.reply.fine else 'too wide'}")
                    elif isinstance(answer.error, RequestFailed):
                        print(f"{answer.agent} failed: {answer.error.error_type}")
                print(f"silent: {', '.join(answers.silent) or 'nobody'}")
        except NobodyPresent:
            sys.exit("there is no reviewer: start one")


async def main(command: str, *arguments: str) -> None:
    async with Bus.connect(URL, namespace=NAMESPACE) as bus:
        match command, arguments:
            case "review", [name]:
                await review(bus, name)
            case "ask", [path]:
                await ask(bus, path, timeout=2.0)
            case _:
                sys.exit(__doc__)


if __name__ == "__main__":
    try:
        anyio.run(main, *(sys.argv[1:] or ["help"]))
    except KeyboardInterrupt:
        sys.exit(130)
