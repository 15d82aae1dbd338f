"""Retries, verdicts, and whose fault it is."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.trace import NoOpTracer

from collector.model.observation import Observation, ProbeFailure
from collector.probes import runner
from collector.probes.connectivity import Uplink
from collector.probes.runner import Runner
from common.probe_settings import HttpProbe, Probe
from common.settings import ConnectivitySettings, Maintenance


class Target:
    """Plays a target that fails the given number of times; `ip` is where it seems to be."""

    def __init__(self, failures: int = 0, *, ip: str = "192.0.2.1") -> None:
        self.failures = failures
        self.ip = ip
        self.looks = 0

    async def __call__(self, probe: HttpProbe, seen: Observation) -> None:
        self.looks += 1
        seen.ip = self.ip
        if self.looks <= self.failures:
            raise ProbeFailure("refused", "connection refused")


def probe(retries: int) -> HttpProbe:
    return HttpProbe.model_validate(
        {
            "name": "shop",
            "type": "http",
            "target": "http://shop.example/",
            "timeout": "200ms",
            "retries": retries,
        }
    )


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "RETRY_PAUSE_SECONDS", 0.001)


@contextmanager
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def closed_port() -> str:
    with listening() as address:
        return address


def make_runner(target: object, *uplink: str, pending: list[Probe] | None = None) -> Runner:
    seen_pending = pending if pending is not None else []
    settings = ConnectivitySettings.model_validate({"targets": uplink, "timeout": "1s"})
    return Runner({"http": target}, Uplink(settings), NoOpTracer(), seen_pending.append)  # type: ignore[dict-item]


async def test_a_target_that_answers_is_up_after_one_look() -> None:
    target = Target()

    result = await make_runner(target).run(probe(2), lag_seconds=0.1, known_down=False)

    assert (result.verdict, result.attempts, result.failed_attempts) == ("up", 1, 0)
    assert (result.reason, result.detail, result.lag_seconds) == (None, None, 0.1)


async def test_a_target_that_recovers_within_the_retries_is_up_and_the_failure_is_counted() -> None:
    pending: list[Probe] = []
    shop = probe(2)

    result = await make_runner(Target(failures=2), pending=pending).run(
        shop, lag_seconds=0, known_down=False
    )

    assert (result.verdict, result.attempts, result.failed_attempts) == ("up", 3, 2)
    assert pending == [shop, shop]


async def test_a_target_counts_as_down_after_the_last_retry() -> None:
    result = await make_runner(Target(failures=9)).run(probe(2), lag_seconds=0, known_down=False)

    assert (result.verdict, result.attempts, result.failed_attempts) == ("down", 3, 3)
    assert (result.reason, result.detail) == ("refused", "connection refused")


async def test_a_target_known_to_be_down_gets_one_look() -> None:
    target = Target(failures=9)

    result = await make_runner(target).run(probe(2), lag_seconds=0, known_down=True)

    assert (result.verdict, target.looks) == ("down", 1)


async def test_a_target_that_does_not_answer_in_time_is_down_with_the_place_it_got_to() -> None:
    async def hang(probe: HttpProbe, seen: Observation) -> None:
        seen.phases.resolve = 0.0
        seen.phases.connect = 0.001
        await asyncio.Event().wait()

    result = await make_runner(hang).run(probe(0), lag_seconds=0, known_down=False)

    assert (result.verdict, result.reason) == ("down", "timeout")
    assert result.detail == "no answer within 0.2 s while waiting for the first byte"
    assert result.duration_seconds >= 0.2


async def test_a_fault_of_ours_says_nothing_about_the_target() -> None:
    async def stumble(probe: HttpProbe, seen: Observation) -> None:
        raise KeyError("oops")

    result = await make_runner(stumble).run(probe(2), lag_seconds=0, known_down=False)

    assert (result.verdict, result.reason) == ("unknown", "fault")


async def test_a_failure_while_our_own_uplink_is_lost_is_unknown() -> None:
    result = await make_runner(Target(failures=9), closed_port()).run(
        probe(0), lag_seconds=0, known_down=False
    )

    assert result.verdict == "unknown"
    assert result.detail == "our own uplink is lost; connection refused"


async def test_a_failure_while_one_of_the_uplink_targets_answers_is_a_failure() -> None:
    with listening() as answering:
        result = await make_runner(Target(failures=9), closed_port(), answering).run(
            probe(0), lag_seconds=0, known_down=False
        )

    assert result.verdict == "down"


async def test_a_target_on_this_machine_needs_no_uplink() -> None:
    result = await make_runner(Target(failures=9, ip="127.0.0.1"), closed_port()).run(
        probe(0), lag_seconds=0, known_down=False
    )

    assert result.verdict == "down"


@pytest.mark.parametrize(
    ("match", "expected"), [({"name": "shop"}, True), ({"name": "other"}, False), ({}, True)]
)
async def test_a_maintenance_window_covers_the_targets_that_it_names(
    match: dict[str, str], expected: bool
) -> None:
    now = datetime.now(UTC)
    looking = make_runner(Target())
    looking.maintenance = (
        Maintenance.model_validate(
            {"match": match, "start": now - timedelta(hours=1), "end": now + timedelta(hours=1)}
        ),
    )

    result = await looking.run(probe(0), lag_seconds=0, known_down=False)

    assert result.in_maintenance is expected


async def test_a_maintenance_window_ends() -> None:
    now = datetime.now(UTC)
    looking = make_runner(Target())
    looking.maintenance = (
        Maintenance.model_validate(
            {"match": {}, "start": now - timedelta(hours=2), "end": now - timedelta(hours=1)}
        ),
    )

    result = await looking.run(probe(0), lag_seconds=0, known_down=False)

    assert not result.in_maintenance
