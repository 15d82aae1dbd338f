"""The product as somebody meets it who has just cloned it: `make up` in a bare checkout."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.servers.eventually import eventually
from tests.servers.ports import free_ports
from tests.servers.terminal import Terminal, terminal

ROOT = Path(__file__).parents[2]
BANNER = r"(?s)DHgate Monitor is running\..*?Ctrl-C stops everything\."


class Checkout:
    """A copy of what is in the repository, with ports of its own, and nothing installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.collector, self.web, self.prometheus = free_ports(3)
        # Nothing of the environment that runs this test may help.
        self.environment = {"VIRTUAL_ENV": "", "PYTHONPATH": "", "DHMON_CONFIG": "monitor.toml"} | {
            "DHMON_COLLECTOR__LISTEN": f"127.0.0.1:{self.collector}",
            "DHMON_WEB__LISTEN": f"127.0.0.1:{self.web}",
            "DHMON_UP__PROMETHEUS": f"127.0.0.1:{self.prometheus}",
        }
        self._copy_files()
        self._change_ports()

    def _copy_files(self) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.folder / name)

    def _change_ports(self) -> None:
        path = self.folder / "monitor.toml"
        text = path.read_text(encoding="utf-8")
        for committed, here in ((":8090", f":{self.collector}"), (":8080", f":{self.web}")):
            assert committed in text
            text = text.replace(committed, here)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    # unsafe: the cookies of a host that is only a number are kept as well.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def fetch(browser: aiohttp.ClientSession, address: str) -> Any:
    """The JSON at an address; None while nothing answers."""
    try:
        async with browser.get(address) as response:
            return await response.json() if response.ok else None
    except aiohttp.ClientError:
        return None


async def sign_in(browser: aiohttp.ClientSession, origin: str, password: str) -> str:
    """The page that follows."""
    async with browser.post(
        f"{origin}/login",
        data={"name": "admin", "password": password},
        headers={"Origin": origin},
    ) as response:
        assert response.status == 200
        return response.url.path


async def target_states(browser: aiohttp.ClientSession, checkout: Checkout) -> dict[str, str]:
    overview = await fetch(browser, f"http://127.0.0.1:{checkout.collector}/api/v1/overview")
    return {target["name"]: target["state"] for target in overview["targets"]} if overview else {}


async def scraped(browser: aiohttp.ClientSession, checkout: Checkout) -> dict[str, str]:
    """What Prometheus says of each job: "1" is up."""
    address = f"http://127.0.0.1:{checkout.prometheus}/api/v1/query?query=up"
    answer = await fetch(browser, address)
    results = answer["data"]["result"] if answer else []
    return {result["metric"]["job"]: result["value"][1] for result in results}


def family(process: asyncio.subprocess.Process) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


async def first_start(running: Terminal, checkout: Checkout, browser: aiohttp.ClientSession) -> str:
    """From the set-up to a screen that shows real measurements; the admin's password."""
    await running.until(r"Installing \d+ packages")
    banner = (await running.until(BANNER))[0]
    address = re.search(r"Web app +(\S+)", banner)
    password = re.search(r"Password +(\S+)", banner)
    assert address is not None
    assert password is not None
    assert address[1] == f"http://127.0.0.1:{checkout.web}"
    assert f"http://127.0.0.1:{checkout.prometheus}" in banner

    states = await eventually(
        lambda: target_states(browser, checkout), lambda found: found.get("web") == "up"
    )
    all_up = {"collector": "1", "web": "1", "prometheus": "1"}
    jobs = await eventually(lambda: scraped(browser, checkout), lambda found: found == all_up)

    assert states["web"] == "up"
    assert jobs == all_up
    assert await sign_in(browser, address[1], password[1]) == "/admin/dashboard"
    return password[1]


async def crash_and_recovery(
    running: Terminal, checkout: Checkout, browser: aiohttp.ClientSession
) -> None:
    [collector] = [child for child in family(running.process) if "collector" in child.cmdline()]
    collector.kill()

    await running.until(r"ended, starting it again .*child=collector .*killed by SIGKILL")
    await running.until(r"collector +\| .*listening")
    states = await eventually(lambda: target_states(browser, checkout), bool)

    assert "web" in states


async def reload(running: Terminal, checkout: Checkout, browser: aiohttp.ClientSession) -> None:
    with (checkout.folder / "monitor.toml").open("a", encoding="utf-8") as file:
        file.write(
            f'\n[[probe]]\nname = "added"\ntype = "tcp"\ntarget = "127.0.0.1:{checkout.web}"\n'
        )
    [up] = [child for child in family(running.process) if child.cmdline()[-1] == "up"]
    up.send_signal(signal.SIGHUP)

    await running.until(r"collector +\| .*configuration reloaded")

    assert "added" in await target_states(browser, checkout)


@pytest.mark.timeout(300)
async def test_a_bare_checkout_runs_recovers_stops_and_starts_again(
    checkout: Checkout, browser: aiohttp.ClientSession
) -> None:
    async with terminal(
        "make", "up", cwd=checkout.folder, environment=checkout.environment
    ) as running:
        password = await first_start(running, checkout, browser)
        await crash_and_recovery(running, checkout, browser)
        await reload(running, checkout, browser)
        parts = family(running.process)
        # As a terminal does: to make and all that it runs in front.
        os.killpg(running.process.pid, signal.SIGINT)
        await running.finish()

    assert running.text.count(password) == 1
    assert "killed" not in running.text.partition("stopping")[2]
    assert [part for part in parts if part.is_running()] == []

    async with terminal(
        ".venv/bin/dhmon", "up", cwd=checkout.folder, environment=checkout.environment
    ) as running:
        banner = (await running.until(BANNER))[0]
        origin = f"http://127.0.0.1:{checkout.web}"
        page = await sign_in(browser, origin, password)
        running.press_ctrl_c()
        exit_code = await running.finish()

    assert exit_code == 0
    assert "Password" not in banner
    assert page == "/admin/dashboard"
