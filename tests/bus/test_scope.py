"""Background tasks that belong to a block: their errors come out of it as they are."""

import anyio
import pytest

from bus.scope import background

pytestmark = pytest.mark.anyio


async def fail() -> None:
    raise KeyError("it") from ValueError("why")


async def test_the_error_of_a_task_keeps_its_own_cause() -> None:
    with anyio.fail_after(5), pytest.raises(KeyError) as raised:
        async with background(fail):
            await anyio.sleep_forever()
    assert str(raised.value.__cause__) == "why"


async def test_an_error_without_one_names_what_the_body_raised() -> None:
    async def fail_at_the_end() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyError("late")

    with anyio.fail_after(5), pytest.raises(KeyError) as raised:
        async with background(fail_at_the_end):
            await anyio.wait_all_tasks_blocked()
            raise ValueError("first")
    assert str(raised.value.__cause__) == "first"
