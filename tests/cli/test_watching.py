"""`argentbus agents --watch`: a line for what is new, and none for what it has said."""

from bus import Bus
from presence import Roster
from tests.conftest import RedisServer
from tests.shell import Shell
from tests.waiting import eventually


async def test_progress_that_a_line_does_not_show_makes_none(
    shell: Shell, redis_server: RedisServer, namespace: str
) -> None:
    where = ("--redis-url", redis_server.url, "--namespace", namespace)
    async with (
        Bus.connect(redis_server.url, namespace=namespace) as bus,
        bus.join("scout") as scout,
    ):
        with shell.start("agents", "--watch", *where) as watching:
            try:
                assert watching.stdout is not None
                assert "present" in watching.stdout.readline()
                await scout.set_state(status="processing", activity="reads")
                assert "reads" in watching.stdout.readline()
                await scout.progress("page 1")
                async with Roster.watch(bus) as roster:
                    await eventually(lambda: roster.agents["scout"].state.progress == "page 1")
                    async with bus.join("other"):
                        assert "joined" in (line := watching.stdout.readline()), line
            finally:
                watching.kill()
