"""Headers on every answer, and requests that come from elsewhere."""

from pathlib import Path

import pytest
from sqlalchemy import text

from tests.servers.web import OURS, PASSWORD, Site, make_settings
from tests.web.conftest import StartSite
from web import keys
from web.middlewares import SECURITY_HEADERS
from web.routes import PERSONAL_ROUTES, PUBLIC_ROUTES
from web.static_files import STATIC

ROUTES = [
    (route.method, route.path.format(name="x")) for route in (*PUBLIC_ROUTES, *PERSONAL_ROUTES)
]
LOGIN = {"name": "ann", "password": PASSWORD}


async def test_every_answer_carries_the_security_headers(site: Site) -> None:
    routes = [*ROUTES, ("GET", "/nowhere"), ("PUT", "/login"), ("POST", "/api/nowhere")]
    # As a visitor, as one sent by another site, and as a person.
    for headers, is_signed_in in ((OURS, False), ({}, False), (OURS, True)):
        for method, path in routes:
            if is_signed_in and site.session_id is None:
                await site.sign_in()
            answer = await site.client.request(method, path, headers=headers, allow_redirects=False)

            seen = {name: answer.headers.get(name) for name in SECURITY_HEADERS}
            assert seen == SECURITY_HEADERS, (method, path)
            assert answer.headers["Cache-Control"] == "no-store"
            assert "Strict-Transport-Security" not in answer.headers
            assert len(answer.headers["X-Request-ID"]) >= 8


def test_the_policy_allows_nothing_inline() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


@pytest.mark.parametrize(("method", "path"), [(r.method, r.path) for r in PERSONAL_ROUTES])
async def test_no_visitor_sees_a_personal_page(site: Site, method: str, path: str) -> None:
    answer = await site.client.request(method, path, headers=OURS, allow_redirects=False)

    assert answer.status in (303, 401)
    assert "ann" not in await answer.text()


def test_every_route_is_either_public_or_personal() -> None:
    """A new one is personal until it is put among the public ones on purpose."""
    assert {route.path for route in PUBLIC_ROUTES} == {
        "/",
        "/login",
        "/logout",
        "/api/health",
        "/healthz",
        "/readyz",
        "/metrics",
        "/static/{name}",
    }


async def test_tls_is_asked_for_only_where_it_is_served(
    start_site: StartSite, tmp_path: Path, valkey: str
) -> None:
    site = await start_site(make_settings(tmp_path, valkey, public_url="https://monitor.example"))

    answer = await site.get("/login")

    assert answer.headers["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains"


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "ours"}, False),
        ({"Sec-Fetch-Site": ""}, False),
        ({"Origin": "ours"}, True),
        ({"Origin": "https://monitor.example"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "https://monitor.example.evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "http://["}, False),
        ({"Referer": "ours"}, False),
        ({}, False),
    ],
)
async def test_a_form_is_taken_only_from_our_own_pages(
    start_site: StartSite, tmp_path: Path, valkey: str, headers: dict[str, str], accepted: bool
) -> None:
    site = await start_site(make_settings(tmp_path, valkey, public_url="https://monitor.example"))
    ours = str(site.client.make_url("/")).rstrip("/")
    sent = {name: ours if value == "ours" else value for name, value in headers.items()}

    answer = await site.client.post("/login", data=LOGIN, headers=sent, allow_redirects=False)

    assert answer.status == (303 if accepted else 403)
    assert len(await site.records()) == int(accepted)


async def test_a_link_from_elsewhere_may_lead_here(site: Site) -> None:
    answer = await site.get("/login", **{"Sec-Fetch-Site": "cross-site"})

    assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("/nowhere", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("/nowhere", "*/*", "text/html"),
        ("/nowhere", "", "text/html"),
        ("/nowhere", "application/json", "application/problem+json"),
        ("/nowhere", "text/html;q=0.5, application/json", "application/problem+json"),
        ("/nowhere", "application/json;q=nonsense, text/html", "text/html"),
        ("/api/nowhere", "text/html", "application/problem+json"),
        ("/admin/api/nowhere", "text/html", "application/problem+json"),
    ],
)
async def test_an_error_is_a_page_for_people_and_a_problem_for_programs(
    site: Site, path: str, accept: str, kind: str
) -> None:
    answer = await site.get(path, Accept=accept)

    assert (answer.status, answer.content_type) == (404, kind)
    assert answer.headers["X-Request-ID"] in await answer.text()


async def test_a_wrong_method_says_which_are_right(site: Site) -> None:
    answer = await site.client.put("/login", headers=OURS)

    assert answer.status == 405
    assert answer.headers["Allow"] == "GET,HEAD,POST"


async def test_an_error_of_ours_tells_nothing_of_the_inside(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Provoked by taking away what a handler needs."""
    files = site.client.app[STATIC]
    monkeypatch.delitem(files, "style.css")

    answer = await site.get("/login")

    assert answer.status == 500
    assert "style.css" not in await answer.text()


async def test_without_the_users_database_nobody_is_let_in(site: Site) -> None:
    await site.sign_in()
    async with site.client.app[keys.DATABASE].begin() as session:
        await session.execute(text("ALTER TABLE user_account RENAME TO elsewhere"))

    page = await site.get("/admin/dashboard")
    login = await site.sign_in()

    assert (page.status, login.status) == (503, 503)
    assert "The users database: it does not answer" in await page.text()


async def test_static_files_are_kept_for_ever_under_their_hash(site: Site) -> None:
    style = site.client.app[STATIC]["style.css"]

    found = await site.get(style.address)
    plain = await site.get("/static/style.css")
    outside = await site.get("/static/..%2Fapp.py")

    assert (found.status, found.content_type) == (200, "text/css")
    assert found.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert await found.read() == style.content
    assert (plain.status, outside.status) == (404, 404)
