"""`dhmon up` as a person runs it, with the real parts, where something is not as it should be."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.servers.ports import free_ports
from tests.servers.terminal import Terminal, survivors, terminal

DHMON = Path(sys.executable).with_name("dhmon")


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Addresses that are free, no Prometheus, and nothing of the caller's own settings."""
    collector, web, prometheus = free_ports(3)
    return {
        "DHMON_COLLECTOR__LISTEN": f"127.0.0.1:{collector}",
        "DHMON_WEB__LISTEN": f"127.0.0.1:{web}",
        "DHMON_UP__PROMETHEUS": f"127.0.0.1:{prometheus}",
        "PATH": str(tmp_path),
    }


@asynccontextmanager
async def dhmon_up(folder: Path, places: dict[str, str]) -> AsyncIterator[Terminal]:
    async with terminal(DHMON, "up", cwd=folder, environment=places) as running:
        yield running


async def test_a_wrong_configuration_is_refused_with_every_error(
    tmp_path: Path, places: dict[str, str]
) -> None:
    (tmp_path / "monitor.toml").write_text('environment = "prod"\n[web]\nlisten = "nowhere"\n')
    del places["DHMON_WEB__LISTEN"]

    async with dhmon_up(tmp_path, places) as running:
        exit_code = await running.finish()

    assert exit_code == 2
    assert "2 errors" in running.text
    assert "environment = 'prod'" in running.text
    assert "web.listen = 'nowhere'" in running.text
    assert "Traceback" not in running.text


async def test_an_address_that_is_taken_is_one_sentence(
    tmp_path: Path, places: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        async with dhmon_up(tmp_path, places | {"DHMON_WEB__LISTEN": taken}) as running:
            exit_code = await running.finish()

    assert exit_code == 1
    assert running.text == (
        f"dhmon: web.listen = {taken}: another process listens there already;"
        " stop that process or set web.listen to another address\n"
    )


async def test_a_data_folder_that_cannot_be_written_to_is_one_sentence(
    tmp_path: Path, places: dict[str, str]
) -> None:
    (tmp_path / "data").write_text("a file")

    async with dhmon_up(tmp_path, places) as running:
        exit_code = await running.finish()

    assert exit_code == 1
    assert running.text.startswith(f"dhmon: the data folder {tmp_path}/data: it cannot be written")
    assert running.text.count("\n") == 1


async def test_it_runs_without_prometheus_and_sigterm_stops_it(
    tmp_path: Path, places: dict[str, str]
) -> None:
    async with dhmon_up(tmp_path, places) as running:
        await running.until("Ctrl-C stops everything")
        parts = running.children()
        running.process.terminate()
        exit_code = await running.finish()

    assert exit_code == 0
    assert set(parts) == {"collector", "web", "valkey-server"}
    assert survivors(parts) == {}
    assert "it is not installed" in running.text
    assert "Prometheus   does not run here" in running.text
    assert "\033[" not in running.text


async def test_names_are_coloured_when_colours_are_asked_for(
    tmp_path: Path, places: dict[str, str]
) -> None:
    async with dhmon_up(tmp_path, places | {"FORCE_COLOR": "1", "NO_COLOR": ""}) as running:
        await running.until("\033\\[36mcollector  \\| \033\\[0m.*\033\\[.*listening")
        running.press_ctrl_c()
        exit_code = await running.finish()

    assert exit_code == 0


async def test_a_start_that_is_broken_off_still_tells_the_password(
    tmp_path: Path, places: dict[str, str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "monitor.duckdb").write_text("not a database" * 1000)

    async with dhmon_up(tmp_path, places) as running:
        await running.until(r"collector +\| dhmon: .*monitor\.duckdb")
        await running.until(r"ended, starting it again .*child=collector .*exit code 1")
        await running.until(r"waiting for the collector … \d+ s")
        parts = running.children()
        running.press_ctrl_c()
        exit_code = await running.finish()

    assert exit_code == 0
    assert "Ctrl-C stops everything" not in running.text
    assert running.text.count("Password     ") == 1
    assert survivors(parts) == {}


async def test_it_ends_with_the_terminal_that_it_writes_to(
    tmp_path: Path, places: dict[str, str]
) -> None:
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        DHMON, "up", cwd=tmp_path, env={**os.environ, **places}, stdout=writing, stderr=writing
    )
    os.close(writing)
    first = await asyncio.to_thread(os.read, reading, 1)
    parts = Terminal(process).children()

    os.close(reading)
    exit_code = await process.wait()

    assert first == b"u"
    assert exit_code == 0
    assert survivors(parts) == {}
