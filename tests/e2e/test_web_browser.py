"""A person with a browser: signs in through the real form and reads the dashboard."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession
from playwright.async_api import Page, async_playwright
from yarl import URL

from tests.servers.eventually import eventually
from tests.servers.ports import free_ports
from tests.servers.process import program, running
from tests.servers.stack import DHMON

PASSWORD = "correct horse battery"  # noqa: S105 - of nobody but this test
READY = r'"address": ?"http://'
CONFIG = """
[collector]
listen = "127.0.0.1:{collector}"
data = "{folder}/monitor.duckdb"
host_interval = "1s"

[web]
listen = "127.0.0.1:{web}"
database = "sqlite:///{folder}/web.db"

[[probe]]
name = "web"
type = "http"
target = "http://127.0.0.1:{web}/api/health"
interval = "2s"
timeout = "1s"
retries = 0
"""


HALF_A_FORM = (
    b"POST /login HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\nname=a"
)
COUNT_OF_FORMS = 'http_server_request_duration_seconds_count{http_request_method="POST"'
BAD = 'http_response_status_code="400"'


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `dhmon web` answers, with `dhmon collector` beside it and one person, Ann."""
    folder = tmp_path_factory.mktemp("house")
    config = folder / "monitor.toml"
    collector, web = free_ports(2)
    config.write_text(CONFIG.format(folder=folder, collector=collector, web=web), "utf-8")
    add_ann(config)
    with ExitStack() as started:
        for role in ("collector", "web"):
            command = [DHMON, role, "--config", config]
            started.enter_context(running(command, log=folder / f"{role}.log", ready=READY))
        yield f"http://127.0.0.1:{web}"


def add_ann(config: Path) -> None:
    subprocess.run(
        [DHMON, "user", "add", "Ann", "--role=admin", "--password-stdin", "--config", config],
        input=PASSWORD,
        text=True,
        check=True,
        capture_output=True,
    )


@pytest.fixture(params=["desktop, light, with JavaScript", "phone, dark, without"])
async def page(request: pytest.FixtureRequest, address: str) -> AsyncIterator[Page]:
    """A fresh browser."""
    is_phone = request.param.startswith("phone")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program("chromium"), args=["--no-sandbox"]
        )
        context = await browser.new_context(
            base_url=address,
            viewport={"width": 390 if is_phone else 1280, "height": 844},
            color_scheme="dark" if is_phone else "light",
            java_script_enabled=not is_phone,
        )
        yield await context.new_page()
        await browser.close()


async def sign_in(page: Page) -> None:
    await page.goto("/")
    await page.get_by_label("Name").fill("ann")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/admin/dashboard")


async def test_a_person_signs_in_reads_the_cpu_and_leaves(page: Page) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))

    await sign_in(page)
    cpu = page.get_by_role("article", name="CPU")
    value = cpu.locator(".number")

    async def known_after_a_reload() -> bool:
        await page.reload()
        return bool(await value.count())

    # The first sample of the host may be a second away.
    assert await eventually(known_after_a_reload, lambda known: known)
    assert 0 <= float(await value.inner_text()) <= 100
    assert " UTC" in await cpu.locator("time").inner_text()
    cookies = await page.context.cookies()
    assert [(cookie["name"], cookie["httpOnly"]) for cookie in cookies] == [("dhmon_session", True)]
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url("**/login")
    assert await page.context.cookies() == []
    # What the content security policy blocks is told on the console.
    assert complaints == []


async def test_nothing_is_wider_than_the_screen(page: Page) -> None:
    await sign_in(page)

    width = await page.evaluate("document.documentElement.scrollWidth")

    assert page.viewport_size is not None
    assert width == page.viewport_size["width"]


async def test_who_leaves_in_the_middle_of_a_form_is_no_failure_of_ours(address: str) -> None:
    url = URL(address)
    _, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(HALF_A_FORM)
    await writer.drain()

    async def requests_of_that_form() -> list[str]:
        # Until its first bytes have arrived, closing would only take them back.
        async with ClientSession(url) as session, session.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
        writer.close()
        return [line for line in lines if line.startswith(COUNT_OF_FORMS)]

    seen = await eventually(requests_of_that_form, lambda lines: any(BAD in line for line in lines))

    assert any(BAD in line for line in seen)
    assert not any('status_code="5' in line for line in seen)


async def test_a_wrong_password_is_said_in_the_form(page: Page) -> None:
    await page.goto("/login")

    await page.get_by_label("Name").fill("ann")
    await page.get_by_label("Password").fill("something else entirely")
    await page.keyboard.press("Enter")

    assert await page.get_by_role("alert").inner_text() == "The name or the password is not right."
    assert await page.get_by_label("Name").input_value() == "ann"
    assert await page.get_by_label("Password").input_value() == ""
