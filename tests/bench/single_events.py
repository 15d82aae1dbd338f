"""One event in each request, durable, beside an empty aiohttp handler under the same load."""

import re
import subprocess
import sys
from pathlib import Path

from tests.bench.event_load import event_collector
from tests.bench.figure import Figure, Goal, figure
from tests.bench.processes import await_metrics, running
from tests.servers.nginx import Nginx
from tests.servers.ports import free_ports
from tests.servers.process import program

CONNECTIONS = 256
SECONDS = 10
WARM_UP_SECONDS = 2
GOAL = Goal(0.5, of_ratio=True, text="≥ 0.5 of the reference", at_least=True)
EMPTY = """
import sys
import uvloop
from aiohttp import web

async def empty(request: web.Request) -> web.Response:
    return web.Response()

app = web.Application()
app.router.add_post("/v1/events", empty)
app.router.add_get("/metrics", empty)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), loop=uvloop.new_event_loop(),
            access_log=None, print=None)
"""
# Every thread of wrk counts for itself; each event has an id of its own.
SCRIPT = """
local threads = 0
function setup(thread) thread:set("number", threads) threads = threads + 1 end
function init(args) count = 0 run = args[1] end
wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer %s"
wrk.headers["Content-Type"] = "application/x-ndjson"
function request()
  count = count + 1
  local id = run .. "-" .. number .. "-" .. count
  return wrk.format(nil, nil, nil, '{"event_id":"' .. id .. '","type":"click",' ..
    '"ts":"2026-11-24T12:00:00.250Z","network":"awin","program":"p7","click_id":"c' .. id ..
    '","user_id":"u1","country":"NL","device":"mobile","page":"/deal/1"}')
end
"""


def measure(folder: Path, nginx: Nginx) -> list[Figure]:
    with event_collector(folder) as ours:
        measured = _requests_per_second(folder, ours.url, ours.key)
    [port] = free_ports(1)
    with running([sys.executable, "-c", EMPTY, str(port)], log=folder / "empty.log"):
        await_metrics(port)
        reference = _requests_per_second(folder, f"http://127.0.0.1:{port}/v1/events", "none")
    return [
        figure(
            f"single-event POST, durable, {CONNECTIONS} connections",
            measured / 1000,
            "k requests/s",
            beside="an empty aiohttp handler",
            reference=reference / 1000,
            goal=GOAL,
        )
    ]


def _requests_per_second(folder: Path, url: str, key: str) -> float:
    script = folder / "events.lua"
    script.write_text(SCRIPT % key, encoding="utf-8")
    _wrk(script, url, "warm-up", WARM_UP_SECONDS)
    said = _wrk(script, url, "measured", SECONDS)
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"requests failed: {said}")
    found = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    if found is None:
        raise RuntimeError(f"wrk said nothing of use: {said}")
    return float(found[1])


def _wrk(script: Path, url: str, run: str, seconds: int) -> str:
    command = [
        program("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url,
        "--", run,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
