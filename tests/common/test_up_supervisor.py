"""Children that die, refuse, hang and are stopped: real processes, small ones."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import structlog

from common.errors import UsageError
from common.up.child import Program, ending
from common.up.supervisor import Supervisor
from tests.servers.eventually import eventually

TALK = "import os, signal; print('here', os.getpid(), flush=True); signal.pause()"
REFUSE = "import sys; print('first'); print('  key: expected a number'); sys.exit(2)"
HANG = (
    "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('here', os.getpid(), flush=True)\n"
    "while True: signal.pause()"
)
NOTE = (
    "import os, pathlib, signal, sys, time\n"
    "def note(*_):\n"
    "    time.sleep(0.1)\n"
    "    with pathlib.Path(sys.argv[1]).open('a') as file: print(sys.argv[2], file=file)\n"
    "    sys.exit()\n"
    "signal.signal(signal.SIGTERM, note)\n"
    "print('here', os.getpid(), flush=True)\n"
    "while True: signal.pause()"
)
CRASH_ONCE = (
    "import os, pathlib, signal, sys\n"
    "path = pathlib.Path(sys.argv[1])\n"
    "if not path.exists(): path.touch(); sys.exit('it broke')\n"
    "print('here', os.getpid(), flush=True); signal.pause()"
)


def script(name: str, code: str, *arguments: str | Path, refusal: int | None = 2) -> Program:
    return Program(
        name=name,
        command=(sys.executable, "-c", code, *map(str, arguments)),
        environment=dict(os.environ),
        refusal=refusal,
    )


class Heard:
    """What the children said, and what the supervisor gave up on."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    def say(self, name: str, text: str) -> None:
        self.lines.put_nowait((name, text))

    async def pid(self, name: str) -> int:
        """Of the next child with this name that says "here"."""
        while True:
            said_by, text = await self.lines.get()
            if said_by == name and text.startswith("here "):
                return int(text.removeprefix("here "))


@pytest.fixture
async def heard() -> Heard:
    return Heard()


@pytest.fixture
async def supervisor(heard: Heard) -> AsyncIterator[Supervisor]:
    supervising = Supervisor(heard.say, heard.failure.set_result)
    yield supervising
    supervising.kill()
    await supervising.stop()


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_a_child_that_dies_is_started_again_and_said_in_one_line(
    supervisor: Supervisor, heard: Heard
) -> None:
    with structlog.testing.capture_logs() as logs:
        supervisor.start(script("collector", TALK))
        first = await heard.pid("collector")
        os.kill(first, signal.SIGKILL)
        second = await heard.pid("collector")

    assert second != first
    assert logs == [
        {
            "event": "ended, starting it again",
            "log_level": "warning",
            "child": "collector",
            "how": "killed by SIGKILL",
            "seconds": 1.0,
        }
    ]


async def test_what_a_child_says_on_either_stream_is_passed_on(
    supervisor: Supervisor, heard: Heard, tmp_path: Path
) -> None:
    supervisor.start(script("web", CRASH_ONCE, tmp_path / "crashed"))

    assert await heard.lines.get() == ("web", "it broke")
    assert lives(await heard.pid("web"))


async def test_a_terminal_does_not_reach_the_children(supervisor: Supervisor, heard: Heard) -> None:
    supervisor.start(script("web", TALK))

    pid = await heard.pid("web")

    assert os.getsid(pid) == pid


async def test_children_are_stopped_one_after_the_other(
    supervisor: Supervisor, heard: Heard, tmp_path: Path
) -> None:
    order = tmp_path / "order"
    pids = []
    for name in ("prometheus", "collector", "web"):
        supervisor.start(script(name, NOTE, order, name))
        pids.append(await heard.pid(name))

    await supervisor.stop()

    assert order.read_text().split() == ["web", "collector", "prometheus"]
    assert not any(lives(pid) for pid in pids)


async def test_a_child_that_does_not_stop_is_killed(
    supervisor: Supervisor, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.up.supervisor.PATIENCE_SECONDS", 0.2)
    supervisor.start(script("web", HANG))
    pid = await heard.pid("web")

    with structlog.testing.capture_logs() as logs:
        await supervisor.stop()

    assert not lives(pid)
    assert [line["event"] for line in logs] == ["did not stop in time, killed"]


async def test_a_second_request_ends_a_hanging_child_at_once(
    supervisor: Supervisor, heard: Heard
) -> None:
    supervisor.start(script("web", HANG))
    pid = await heard.pid("web")
    stopping = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0)

    supervisor.kill()
    await stopping

    assert not lives(pid)


async def test_a_child_between_two_lives_is_not_started_again(
    supervisor: Supervisor, heard: Heard
) -> None:
    with structlog.testing.capture_logs() as logs:
        supervisor.start(script("web", "raise SystemExit('it broke')"))
        assert await heard.lines.get() == ("web", "it broke")
        await eventually(lambda: asyncio.sleep(0, len(logs)), bool)

        await supervisor.stop()

    assert [line["event"] for line in logs] == ["ended, starting it again", "stopped"]


async def test_a_configuration_that_is_refused_at_the_start_is_not_tried_again(
    supervisor: Supervisor, heard: Heard
) -> None:
    supervisor.start(script("collector", REFUSE))

    failure = await heard.failure

    assert isinstance(failure, UsageError)
    assert failure.exit_code == 2
    assert "key: expected a number" in failure.why


async def test_a_configuration_that_is_refused_later_is_tried_again(
    supervisor: Supervisor, heard: Heard
) -> None:
    supervisor.is_starting = False
    supervisor.start(script("collector", REFUSE))

    said = [await heard.lines.get() for _ in range(4)]

    assert [text for _, text in said] == ["first", "  key: expected a number"] * 2
    assert not heard.failure.done()


async def test_a_program_that_is_not_there_is_a_failure(
    supervisor: Supervisor, heard: Heard, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing")
    supervisor.start(Program(name="web", command=(missing,), environment={}))

    failure = await heard.failure

    assert isinstance(failure, FileNotFoundError)


def test_endings_are_told_in_words() -> None:
    assert ending(3) == "exit code 3"
    assert ending(-signal.SIGSEGV) == "killed by SIGSEGV"
    assert ending(-40) == "killed by signal 40"
