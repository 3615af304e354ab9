"""The examples, run as a reader would run them: as processes, some of which are killed."""

import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus import Bus, Leader
from tests.programs import Fleet
from tests.shell import ROOT
from tests.waiting import eventually

#: Most lines of an example that is to be copied; the newsroom is the demonstration's.
MOST_LINES = 85


@pytest.fixture
def fleet(redis_server: Any, namespace: str, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(redis_server.url, namespace, tmp_path)
    try:
        yield fleet
    finally:
        fleet.close()


@pytest.fixture
async def bus(redis_server: Any, namespace: str) -> AsyncIterator[Bus]:
    async with Bus.connect(redis_server.url, namespace=namespace) as bus:
        yield bus


def test_each_is_short_and_tested() -> None:
    others = (ROOT / "tests/cli/test_demo.py", ROOT / "tests/bus/blocking/test_example.py")
    source = "".join(path.read_text() for path in (Path(__file__), *others))
    for example in (ROOT / "examples").glob("*.py"):
        lines = len(example.read_text().splitlines())
        assert example.stem == "newsroom" or lines <= MOST_LINES, f"{example.name}: {lines} lines"
        assert example.stem in source, f"{example.name} is run by no test"


@pytest.mark.parametrize("arguments", [(), ("nonsense",)], ids=["nothing", "nonsense"])
@pytest.mark.parametrize(
    "example", ["newsroom", "coordination", "plan", "panel", "workers", "blocking"]
)
async def test_one_that_is_called_wrongly_says_how_to(
    fleet: Fleet, example: str, arguments: tuple[str, ...]
) -> None:
    if (example, arguments) == ("coordination", ("nonsense",)):
        return  # a URL that is none: the bus says so
    program = fleet.start(example, *arguments)
    assert await program.ends() == 1
    assert f"python examples/{example}.py" in program.errors
    assert "Traceback" not in program.errors


async def test_coordination(fleet: Fleet, redis_server: Any) -> None:
    for _ in range(2):  # also again within the hour
        await _coordinates(fleet, redis_server)


async def _coordinates(fleet: Fleet, redis_server: Any) -> None:
    lines = await fleet.run("coordination", redis_server.url)
    assert [re.sub(r"-[0-9a-f]{8}$", "", line) for line in lines] == [
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


async def test_workers_retry_bury_replay_and_drain(fleet: Fleet, bus: Bus, tmp_path: Path) -> None:
    plain, binary, late = (str(tmp_path / name) for name in ("plain", "binary", "late"))
    Path(plain).write_text("three short words")
    Path(binary).write_bytes(b"\xff\xfe\x00")
    workers = [fleet.start("workers", "work") for _ in range(2)]

    def said() -> str:
        return "\n".join(line for worker in workers for line in worker.lines)

    await fleet.run("workers", "put", plain, binary, late)
    dead = bus.queue("documents", msgspec.Raw)

    async def buried() -> bool:
        return len(await dead.dead_letters()) == 2

    await eventually(buried, timeout=30)
    missing = f"FileNotFoundError: [Errno 2] No such file or directory: '{late}'"
    assert await fleet.run("workers", "dead") == [
        f"{binary}: it is not text",
        f"{late}: {missing} (attempt 4, the last)",
    ]
    assert said() == f"counted {plain}, attempt 1"

    # What was missing is there now, and one worker dies of a kill: the other does it.
    Path(late).write_text("better late than never")
    workers[0].signal(signal.SIGKILL)
    assert await fleet.run("workers", "replay") == ["put back: 2"]
    await eventually(lambda: f"counted {late}, attempt" in said())
    totals = {key: entry.value for key, entry in (await bus.map("totals", int).list()).items()}
    assert totals == {f"file:{plain}": 3, f"file:{late}": 4}

    await fleet.run("workers", "nightly", plain, "* * * * * *")
    await eventually(lambda: said().count(f"counted {plain}") >= 3)
    workers[1].signal(signal.SIGTERM)
    assert await workers[1].ends() == 0
    [schedule] = await bus.queue("documents", dict).schedules()
    assert (schedule.name, schedule.body) == ("nightly", {"path": plain})


async def test_a_heartbeat_runs_once_a_period_over_a_kill(fleet: Fleet) -> None:
    runners = [fleet.start("heartbeat", "scout", "0.4") for _ in range(3)]
    for runner in runners:
        await runner.says("waiting")

    def runs() -> list[tuple[int, int]]:
        """Each run that was made: its slot, and which attempt it was."""
        found = re.compile(r"slot (\d+), attempt (\d+)")
        lines = [line for runner in runners for line in runner.lines]
        return sorted((int(run[1]), int(run[2])) for line in lines if (run := found.match(line)))

    await eventually(lambda: len(runs()) >= 3, timeout=20)
    killed = runs()[-1][0]
    last = next(r for r in runners if any(f"slot {killed}," in line for line in r.lines))
    last.signal(signal.SIGKILL)
    before = len(runs())
    await eventually(lambda: len(runs()) >= before + 3, timeout=20)
    assert len(set(runs())) == len(runs()), runs()
    # Where a process was killed, or too slow to keep its claim, another attempt is made.
    errors = [runner.errors for runner in runners if runner.errors]
    assert all("LockLost" in error for error in errors), errors
    assert errors or {slot for slot, attempt in runs() if attempt > 1} <= {killed, killed + 1}


async def test_a_leader_that_dies_is_replaced_with_a_higher_fence(fleet: Fleet, bus: Bus) -> None:
    candidates = {name: fleet.start("leader", name) for name in ("ada", "bob", "cleo")}
    async with bus.election("planner", ttl=2.0) as election:

        async def leader(after: Leader | None = None) -> Leader:
            """Whoever leads, once it is another than `after`: on a slow machine, anybody may."""

            def another() -> bool:
                now = election.leader
                return now is not None and (after is None or now.candidate != after.candidate)

            await eventually(another, timeout=40)
            assert election.leader is not None
            assert after is None or election.leader.fence > after.fence
            return election.leader

        first = await leader()
        for candidate in candidates.values():
            await candidate.says(f"{first.candidate} leads", timeout=40)
        candidates.pop(first.candidate).signal(signal.SIGKILL)
        second = await leader(after=first)
        resigning = candidates.pop(second.candidate)
        resigning.signal(signal.SIGINT)
        assert await resigning.ends(timeout=40) == 130
        third = await leader(after=second)
        [(name, candidate)] = candidates.items()
        assert third.candidate == name
        assert await candidate.says(f"elected, fence {third.fence}")

    # A later leader has written, of whom nobody has heard: the one that leads stops.
    plans = bus.map("plans", dict[str, Any])

    async def written() -> bool:
        entry = await plans.get("current")
        return entry is not None and entry.value["by"] == name

    await eventually(written, timeout=40)
    await plans.put("current", {"round": 1, "by": "dora", "fence": third.fence + 10**9})
    await candidate.says("deposed: dora leads by now", timeout=40)


async def test_a_plan_is_done_once_although_a_worker_dies(fleet: Fleet, bus: Bus) -> None:
    steps = [f"step-{number:02}" for number in range(12)]
    await fleet.run("plan", "make", *steps[:10])
    await fleet.run("plan", "make", *steps[8:])
    watcher = fleet.start("plan", "watch")
    await watcher.says("0 of 12 done")
    workers = [fleet.start("plan", "work", name) for name in ("ada", "bob", "cleo")]
    await workers[0].says("ada did")
    workers[0].signal(signal.SIGKILL)
    assert [await worker.ends() for worker in workers[1:]] == [0, 0]
    assert await watcher.ends() == 0
    assert watcher.lines[-1] == "12 of 12 done"

    done = {key: entry.value for key, entry in (await bus.map("garden", dict).list()).items()}
    assert sorted(done) == steps
    assert all(step["done"] for step in done.values())
    said = sorted(line for worker in workers for line in worker.lines)
    by_map = sorted(f"{step['by']} did {key}" for key, step in done.items())
    # Who was killed may have written a step that it did not come to say.
    assert set(said) <= set(by_map)
    assert len(said) == len(set(said)) >= len(steps) - 1


async def test_a_panel_answers_fails_or_is_silent(fleet: Fleet, tmp_path: Path) -> None:
    alone = fleet.start("panel", "ask", "README.md")
    assert await alone.ends() == 1
    assert alone.errors == "there is no reviewer: start one\n"

    reviewers = {name: fleet.start("panel", "review", name) for name in ("ada", "bob", "cleo")}
    for name, reviewer in reviewers.items():
        await reviewer.says(f"{name} is here")
    wide = tmp_path / "wide.txt"
    wide.write_text("narrow\n" + "w" * 200)
    asked = await fleet.run("panel", "ask", str(wide))
    assert sorted(asked[:3]) == ["ada: too wide", "bob: too wide", "cleo: too wide"]
    assert asked[3:] == ["silent: nobody"]
    asked = await fleet.run("panel", "ask", str(tmp_path / "missing"))
    assert sorted(asked[:3]) == [f"{name} failed: FileNotFoundError" for name in reviewers]

    reviewers["bob"].signal(signal.SIGSTOP)
    asked = await fleet.run("panel", "ask", "examples/panel.py")
    reviewers["bob"].signal(signal.SIGCONT)
    assert sorted(asked[:2]) == ["ada: fine", "cleo: fine"]
    assert asked[2:] == ["silent: bob"]
