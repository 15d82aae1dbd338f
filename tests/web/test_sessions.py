"""Sessions: under a new id at every login, ended on the server, and never without Redis."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from common.health import HealthReport
from common.platform_report import KEY, STALE_SECONDS, PlatformReport
from tests.servers.eventually import eventually
from tests.servers.web import COOKIE, OURS, Site, make_settings, running_valkey
from tests.web.conftest import StartSite
from web import keys
from web.users.queries import set_enabled, set_password

DASHBOARD = "/admin/dashboard"


async def is_in(site: Site, path: str = DASHBOARD) -> bool:
    answer = await site.get(path)
    assert answer.status in (200, 303)
    return answer.status == 200


async def test_visitors_leave_no_record(site: Site) -> None:
    for path in ("/", "/login", DASHBOARD, "/nowhere"):
        await site.get(path, Cookie=f"{COOKIE}={'x' * 43}")
    await site.sign_in(name="nobody")

    assert await site.records() == []


async def test_the_cookie_is_kept_from_scripts_and_other_sites(site: Site) -> None:
    answer = await site.sign_in()

    name, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert name == f"{COOKIE}={site.session_id}"
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Strict"]


async def test_over_tls_the_cookie_is_bound_to_the_host(
    start_site: StartSite, tmp_path: Path, valkey: str
) -> None:
    settings = make_settings(tmp_path, valkey, public_url="https://monitor.example")
    site = await start_site(settings)

    answer = await site.sign_in()
    cookie = answer.headers["Set-Cookie"].split("; ")
    left = await site.client.post(
        "/logout", headers=OURS | {"Cookie": cookie[0]}, allow_redirects=False
    )

    assert cookie[0].startswith("__Host-dhmon_session=")
    assert sorted(cookie[1:]) == ["HttpOnly", "Path=/", "SameSite=Strict", "Secure"]
    assert await site.records() == []
    gone = left.headers["Set-Cookie"]
    assert gone.startswith('__Host-dhmon_session=""; ')
    assert {"Secure", "Path=/", "Max-Age=0"} <= set(gone.split("; "))


async def test_redis_holds_only_a_hash_of_the_id(site: Site) -> None:
    await site.sign_in()

    [key] = await site.records()
    held = f"{key!r} {await site.redis.get(key)!r}"
    assert site.session_id is not None
    assert site.session_id not in held


async def test_a_login_begins_a_new_session_and_ends_the_old_one(site: Site) -> None:
    await site.sign_in()
    old = site.session_id
    await site.sign_in()

    assert site.session_id != old
    assert len(await site.records()) == 1
    site.client.session.cookie_jar.clear()
    assert (await site.get(DASHBOARD, Cookie=f"{COOKIE}={old}")).status == 303


async def test_an_id_that_was_planted_is_not_taken_over(site: Site) -> None:
    planted = "planted-" + "x" * 35
    site.client.session.cookie_jar.update_cookies({COOKIE: planted}, site.client.make_url("/"))

    await site.sign_in()

    assert site.session_id != planted
    assert await is_in(site)


async def test_a_logout_ends_the_session_on_the_server(site: Site) -> None:
    await site.sign_in()
    old = site.session_id

    answer = await site.client.post("/logout", headers=OURS, allow_redirects=False)

    assert (answer.status, answer.headers["Location"]) == (303, "/login")
    assert site.session_id is None
    assert await site.records() == []
    assert (await site.get(DASHBOARD, Cookie=f"{COOKIE}={old}")).status == 303


async def test_a_session_ends_when_it_idles(site: Site) -> None:
    await site.sign_in()
    [key] = await site.records()
    limit = site.settings.web.session_idle_seconds
    assert limit - 60 < await site.redis.ttl(key) <= limit

    await site.redis.pexpire(key, 1)
    answer = await eventually(lambda: site.get(DASHBOARD), lambda answer: answer.status == 303)

    assert answer.headers["Location"] == f"/login?next={DASHBOARD}"


async def test_each_request_of_a_person_begins_the_idle_time_anew(site: Site) -> None:
    await site.sign_in()
    [key] = await site.records()

    await site.redis.expire(key, 100)
    assert await is_in(site, f"{DASHBOARD}?refresh=auto")
    by_itself = await site.redis.ttl(key)
    assert await is_in(site)
    by_a_person = await site.redis.ttl(key)

    assert by_itself <= 100
    assert by_a_person > site.settings.web.session_idle_seconds - 60


async def test_a_session_ends_at_its_absolute_limit(site: Site) -> None:
    await site.sign_in()
    limit = site.settings.web.session_absolute_seconds
    await change_record(site, lambda held: held.update(started_at=time.time() - limit + 600))
    assert await is_in(site)
    [key] = await site.records()
    assert await site.redis.ttl(key) <= 600

    await change_record(site, lambda held: held.update(started_at=time.time() - limit - 1))

    assert not await is_in(site)
    assert await site.records() == []


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"created": 1, "session": {}}', b"\xff"])
async def test_a_record_that_is_none_of_ours_lets_nobody_in(site: Site, body: bytes) -> None:
    await site.sign_in()
    [key] = await site.records()

    await site.redis.set(key, body, ex=100)

    assert not await is_in(site)


@pytest.mark.parametrize("change", ["disabled", "new password"])
async def test_a_change_to_the_person_ends_their_sessions(site: Site, change: str) -> None:
    await site.sign_in()
    database = site.client.app[keys.DATABASE]
    if change == "disabled":
        await set_enabled(database, "ann", is_enabled=False)
    else:
        password_hash = await site.client.app[keys.PASSWORDS].hash("another good password")
        await set_password(database, "ann", password_hash)

    assert not await is_in(site)
    assert await site.records() == []


async def test_sessions_are_counted_while_they_live(site: Site) -> None:
    storage = site.client.app[keys.SESSIONS]
    await site.sign_in()
    site.client.session.cookie_jar.clear()
    await site.sign_in()
    assert await storage.count() == 2

    await site.client.post("/logout", headers=OURS)
    assert await storage.count() == 1
    [key] = await site.records()
    await site.redis.zadd("dhmon:sessions", {key: time.time() - 1})

    assert await storage.count() == 0


async def test_the_collector_is_told_of_the_people(site: Site) -> None:
    body = await eventually(lambda: site.redis.get(KEY), lambda body: body is not None)

    report = msgspec.json.decode(body or b"", type=PlatformReport)
    assert report.sessions_active == 0
    assert 0 < await site.redis.ttl(KEY) <= STALE_SECONDS


async def test_without_redis_nobody_gets_in_until_it_is_back(
    start_site: StartSite, tmp_path: Path, web_settings: dict[str, Any]
) -> None:
    async def readiness() -> HealthReport:
        answer = await site.get("/readyz")
        return msgspec.json.decode(await answer.read(), type=HealthReport)

    with running_valkey(tmp_path) as url:
        site = await start_site(make_settings(tmp_path, url, **web_settings))
        assert (await site.sign_in()).status == 303
    lost = await site.get(DASHBOARD)
    login = await site.sign_in()

    assert (lost.status, login.status) == (503, 503)
    assert lost.content_type == "text/html"
    assert "The session store: it does not answer" in await lost.text()
    assert lost.headers["Retry-After"] == "5"
    assert (await site.get("/api/health")).status == 200
    assert (await readiness()).status == "failed"

    with running_valkey(tmp_path):
        assert (await eventually(readiness, lambda seen: seen.status == "ok")).status == "ok"
        # What was in memory is gone, as after any restart without a log: sign in again.
        site.client.session.cookie_jar.clear()
        assert (await site.sign_in()).status == 303
        assert await is_in(site)


async def change_record(site: Site, change: Callable[[dict[str, Any]], None]) -> None:
    """Edit what the one session holds, in Redis."""
    redis: Redis = site.redis
    [key] = await site.records()
    record = json.loads(await redis.get(key) or b"")
    change(record["session"])
    await redis.set(key, json.dumps(record), keepttl=True)
