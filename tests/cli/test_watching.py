"""`argentbus agents --watch`: a line for what is new, and none for what it has said."""

from bus import Bus
from tests.conftest import RedisServer
from tests.shell import Shell


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
                for page in range(4):
                    await scout.progress(f"page {page}")
                await scout.set_state(status="processing", activity="is done")
                lines = [watching.stdout.readline() for _ in "12"]
            finally:
                watching.kill()
    assert ["reads" in lines[0], "is done" in lines[1]] == [True, True], lines
