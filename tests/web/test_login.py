"""Who gets in, and how they leave."""

import asyncio
import statistics
import time

import pytest
from argon2 import PasswordHasher

from tests.servers.web import OURS, PASSWORD, Site
from web import keys
from web.auth.handlers import FORM_TYPE, WRONG
from web.auth.passwords import MAX_VERIFYING
from web.users.queries import set_enabled, set_password, user_by_name

WRONG_PASSWORD = "not this one at all"  # noqa: S105 - nobody's


async def test_the_start_page_sends_a_visitor_to_the_form(site: Site) -> None:
    answer = await site.get("/")

    assert (answer.status, answer.headers["Location"]) == (303, "/login")


async def test_the_right_password_leads_to_the_dashboard(site: Site) -> None:
    answer = await site.sign_in()

    assert (answer.status, answer.headers["Location"]) == (303, "/admin/dashboard")
    page = await site.get("/admin/dashboard")
    assert page.status == 200
    assert "<strong>ann</strong> <span>admin</span>" in await page.text()
    assert (await site.get("/")).headers["Location"] == "/admin/dashboard"
    assert (await site.get("/login")).headers["Location"] == "/admin/dashboard"


@pytest.mark.parametrize("spelling", ["ANN", " ann ", "\uff21nn"])
async def test_a_name_is_one_in_every_spelling(site: Site, spelling: str) -> None:
    assert (await site.sign_in(spelling)).status == 303


async def test_a_login_is_noted(site: Site) -> None:
    await site.sign_in()

    ann = await user_by_name(site.client.app[keys.DATABASE], "ann")
    assert ann is not None
    assert ann.last_login_at is not None
    assert ann.last_login_at.tzinfo is not None


async def test_wrong_unknown_and_disabled_look_the_same(site: Site) -> None:
    wrong = await site.sign_in(password=WRONG_PASSWORD)
    unknown = await site.sign_in(name="bob")
    await set_enabled(site.client.app[keys.DATABASE], "ann", is_enabled=False)
    disabled = await site.sign_in()

    pages = [await answer.text() for answer in (wrong, unknown, disabled)]
    assert [wrong.status, unknown.status, disabled.status] == [401, 401, 401]
    assert all(WRONG in page for page in pages)
    assert pages[0] == pages[2] == pages[1].replace('value="bob"', 'value="ann"')
    assert site.session_id is None


async def test_an_unknown_name_takes_as_long_as_a_known_one(site: Site) -> None:
    async def seconds(name: str) -> float:
        started = time.process_time()
        assert (await site.sign_in(name, WRONG_PASSWORD)).status == 401
        return time.process_time() - started

    # CPU time of this process: what other processes do does not count.
    known = statistics.median([await seconds("ann") for _ in range(5)])
    unknown = statistics.median([await seconds("nobody") for _ in range(5)])

    assert unknown > known / 2


@pytest.mark.parametrize(
    "body",
    [
        "",
        "name=ann",
        "password=x",
        "name=&password=",
        "name=%00&password=%00",
        "name=%ff%fe&password=%ff",
        "name=" + "x" * 10_000 + "&password=" + "y" * 10_000,
        "name[]=ann&password[]=x",
    ],
)
async def test_a_malformed_login_is_only_a_wrong_one(site: Site, body: str) -> None:
    headers = OURS | {"Content-Type": "application/x-www-form-urlencoded"}

    answer = await site.client.post("/login", data=body, headers=headers)

    assert answer.status == 401
    assert WRONG in await answer.text()


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded; charset=utf-7",
        "application/x-www-form-urlencoded; charset=nonsense",
    ],
)
async def test_a_login_that_is_no_form_is_refused(site: Site, kind: str) -> None:
    headers = OURS | {"Content-Type": kind}

    answer = await site.client.post("/login", data=b"{}", headers=headers)

    assert answer.status == 415


async def test_a_login_that_cannot_be_unpacked_is_refused(site: Site) -> None:
    headers = OURS | {"Content-Type": FORM_TYPE, "Content-Encoding": "gzip"}

    answer = await site.client.post("/login", data=b"name=ann", headers=headers)

    assert answer.status == 400
    assert "did not arrive whole" in await answer.text()


async def test_an_oversized_form_is_refused(site: Site) -> None:
    answer = await site.sign_in(password="x" * 70_000)

    assert answer.status == 413
    assert "more than this form takes" in await answer.text()


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("/admin/dashboard?refresh=off", "/admin/dashboard?refresh=off"),
        ("https://evil.example/", "/admin/dashboard"),
        ("//evil.example/", "/admin/dashboard"),
        ("/\\evil.example/", "/admin/dashboard"),
        ("/\t/evil.example/", "/admin/dashboard"),
        ("javascript:alert(1)", "/admin/dashboard"),
        ("/a\r\nSet-Cookie: x=y", "/admin/dashboard"),
        ("", "/admin/dashboard"),
    ],
)
async def test_nobody_is_sent_to_another_site(site: Site, asked: str, given: str) -> None:
    answer = await site.sign_in(next=asked)

    assert answer.status == 303
    assert answer.headers["Location"] == given


async def test_the_address_asked_for_survives_the_form(site: Site) -> None:
    turned_away = await site.get("/admin/dashboard?refresh=auto&x=1")
    form = await site.get(turned_away.headers["Location"])

    assert turned_away.status == 303
    assert 'name="next" value="/admin/dashboard?x=1"' in await form.text()


async def test_a_hostile_name_is_shown_as_text(site: Site) -> None:
    page = await (await site.sign_in('"><script>alert(1)</script>')).text()

    assert "<script>" not in page
    assert "&lt;script&gt;" in page


async def test_a_program_is_told_in_its_own_language(site: Site) -> None:
    answer = await site.get("/admin/api/dashboard/metrics")

    assert answer.status == 401
    assert answer.content_type == "application/problem+json"
    assert (await answer.json(content_type=None))["status"] == 401


async def test_others_are_answered_while_a_password_is_hashed(site: Site) -> None:
    """More logins than there are threads for them, and a page that overtakes them."""
    logins = [asyncio.create_task(site.sign_in(password=WRONG_PASSWORD)) for _ in range(12)]

    health = await site.get("/api/health")

    assert health.status == 200
    assert not all(login.done() for login in logins)
    assert {answer.status for answer in await asyncio.gather(*logins)} == {401}


async def test_more_logins_than_can_be_done_soon_are_told_so_at_once(site: Site) -> None:
    passwords = site.client.app[keys.PASSWORDS]
    verifying = [
        asyncio.create_task(passwords.verify(None, WRONG_PASSWORD)) for _ in range(MAX_VERIFYING)
    ]

    refused = await site.sign_in()
    await asyncio.gather(*verifying)
    accepted = await site.sign_in()

    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    assert "too many people do so at this moment" in await refused.text()
    assert accepted.status == 303


async def test_a_password_of_old_parameters_is_hashed_anew(site: Site) -> None:
    database = site.client.app[keys.DATABASE]
    await set_password(database, "ann", PasswordHasher(1, 8, 1).hash(PASSWORD))

    answer = await site.sign_in()

    ann = await user_by_name(database, "ann")
    assert answer.status == 303
    assert ann is not None
    assert not PasswordHasher().check_needs_rehash(ann.password_hash)
    assert (await site.get("/admin/dashboard")).status == 200
