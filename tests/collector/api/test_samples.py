"""`GET /api/v1/samples` and the other formats of incidents: parameters, pages, formats."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from arro3.io import read_ipc_stream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector import keys
from collector.model.incident import IncidentEvent
from collector.model.sample import Sample
from collector.store.batches import incident_events_batch, samples_batches
from tests.collector.api.conftest import Asker
from tests.collector.conftest import NOON

ARROW = "application/vnd.apache.arrow.stream"
METRIC = "temperature_celsius"
SPAN = {"from": "2026-11-23T12:00:00Z", "to": "2026-11-23T13:00:00Z"}


async def fill(asker: Asker) -> None:
    """Ten minutes of two rooms, a sample each ten seconds."""
    samples = [
        Sample(METRIC, (("room", room),), NOON + timedelta(seconds=10 * n), base + n)
        for n in range(60)
        for room, base in (("attic", 0.0), ("cellar", 100.0))
    ]
    assert asker.app is not None
    await asker.app[keys.STORE].append(*samples_batches(samples))


async def ask(asker: Asker, **parameters: str) -> dict[str, Any]:
    asked = {"metric": METRIC, **SPAN, **parameters}
    response = await asker.get("/api/v1/samples", params=asked)
    assert response.status == 200, await response.text()
    body: dict[str, Any] = await response.json()
    return body


async def test_samples_come_with_their_labels_and_say_where_they_are_from(asker: Asker) -> None:
    await fill(asker)

    body = await ask(asker, limit="1", **{"label.room": "attic"})

    assert [column["name"] for column in body["columns"]] == [
        "ts", "series_id", "metric", "labels", "value",
    ]  # fmt: skip
    ts, _, metric, labels, value = body["rows"][0]
    assert (ts, metric, labels, value) == ("2026-11-23T12:00:00Z", METRIC, {"room": "attic"}, 0.0)
    assert body["truncated"] is True
    assert body["next_cursor"] is not None
    assert (body["level"], body["step_seconds"]) == ("raw", None)


async def test_steps_have_the_aggregates_that_are_asked_for(asker: Asker) -> None:
    await fill(asker)

    body = await ask(asker, step="5m", agg="max,count,avg,p50", match='{room="cellar"}')

    assert [column["name"] for column in body["columns"]][4:] == ["max", "count", "avg", "p50"]
    assert [row[4:] for row in body["rows"]] == [[129, 30, 114.5, 114], [159, 30, 144.5, 144]]
    assert body["step_seconds"] == 300
    assert body["next_cursor"] is None


@pytest.mark.parametrize("accept", ["application/json", "text/csv", ARROW])
@pytest.mark.parametrize("step", ["raw", "1m"])
async def test_pages_hold_each_row_once_in_every_format(
    asker: Asker, accept: str, step: str
) -> None:
    await fill(asker)
    asked = {"metric": METRIC, **SPAN, "limit": "7", "step": step}
    seen: list[str] = []

    cursor: str | None = ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        response = await asker.get(
            "/api/v1/samples", params={**asked, **more}, headers={"Accept": accept}
        )
        body = await response.read()
        assert response.status == 200, body
        seen += [f"{row[0]} {row[1]}" for row in rows_of(accept, body)]
        cursor = response.headers.get("Dhmon-Next-Cursor")
        assert response.headers["Dhmon-Level"] in ("raw", "minute+raw", "minute")

    assert len(seen) == len(set(seen)) == {"raw": 120, "1m": 20}[step]


def rows_of(accept: str, body: bytes) -> list[list[Any]]:
    if accept == "text/csv":
        return list(csv.reader(io.StringIO(body.decode(), newline="")))[1:]
    if accept == ARROW:
        table = read_ipc_stream(io.BytesIO(body)).read_all()
        assert "number" not in table.schema.names
        columns = [table[name].to_pylist() for name in ("ts", "series_id")]
        return [list(row) for row in zip(*columns, strict=True)]
    rows: list[list[Any]] = json.loads(body)["rows"]
    return rows


async def test_a_metric_that_nobody_knows_has_no_rows(asker: Asker) -> None:
    assert (await ask(asker, metric="nobody"))["rows"] == []
    assert (await ask(asker, metric="nobody", step="1h"))["rows"] == []


@pytest.mark.parametrize("start", ["1795435200", "1795435200.5", "2026-11-23T13:00:00.5+01:00"])
async def test_times_are_rfc_3339_or_seconds(asker: Asker, start: str) -> None:
    await fill(asker)

    body = await ask(asker, **{"from": start, "label.room": "attic"})

    assert len(body["rows"]) == (60 if start == "1795435200" else 59)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"metric": ""}, "metric"),
        ({"colour": "blue"}, "colour"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-23T12:00:00"}, "from"),
        ({"from": "2026-11-23T14:00:00Z"}, "from"),
        ({"from": "99999999999"}, "from"),
        ({"to": "0001-01-01T00:00:00Z"}, "to"),
        ({"to": "9999-12-31T23:59:59Z"}, "to"),
        ({"step": "often"}, "step"),
        ({"step": "0s"}, "step"),
        ({"step": "90s"}, "step"),
        ({"step": "99999y"}, "step"),
        ({"agg": "avg"}, "agg"),
        ({"agg": "mode", "step": "1m"}, "agg"),
        ({"agg": "", "step": "1m"}, "agg"),
        ({"limit": "0"}, "limit"),
        ({"limit": "10001"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"match": "room"}, "match"),
        ({"match": "{room=attic}"}, "match"),
        ({"match": '{room="a" side="b"}'}, "match"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "W10="}, "cursor"),
        ({"step": "1m", "cursor": "WyIyMDI2LTExLTIzVDEyOjAwOjAwWiIsMSwwLCIiLDBd"}, "cursor"),
    ],
)
async def test_a_parameter_that_makes_no_sense_is_named(
    asker: Asker, parameters: dict[str, str], named: str
) -> None:
    response = await asker.get("/api/v1/samples", params={"metric": METRIC, **SPAN, **parameters})

    assert response.status == 400
    assert f"the parameter {named}" in (await response.json())["detail"]


async def test_a_pattern_that_is_none_is_the_callers_error(asker: Asker) -> None:
    response = await asker.get(
        "/api/v1/samples", params={"metric": METRIC, "match": '{room=~"("}', **SPAN}
    )

    assert response.status in (200, 400)
    await fill(asker)
    response = await asker.get(
        "/api/v1/samples", params={"metric": METRIC, "match": '{room=~"("}', **SPAN}
    )
    assert response.status == 400


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(["cursor", "from", "to", "step", "match", "limit", "label.x", "metric"]),
    value=st.text(max_size=60),
)
async def test_no_parameter_makes_the_api_stumble(asker: Asker, name: str, value: str) -> None:
    response = await asker.get("/api/v1/samples", params={"metric": METRIC, **SPAN, name: value})

    assert response.status in (200, 400)


async def test_incidents_come_as_csv_and_arrow_too(asker: Asker) -> None:
    events = [
        IncidentEvent(
            incident_id=f"{number:04}",
            kind="opened",
            at=NOON + timedelta(minutes=number),
            name="shop",
            target="http://shop.example/",
            severity="critical",
            cause="status",
            detail="got 503, again",
        )
        for number in range(5)
    ]
    assert asker.app is not None
    await asker.app[keys.STORE].append(incident_events_batch(events))

    for accept in ("text/csv", ARROW):
        found: list[str] = []
        parameters = {"limit": "2"}
        while True:
            response = await asker.get(
                "/api/v1/incidents", params=parameters, headers={"Accept": accept}
            )
            body = await response.read()
            found += ids_of(accept, body)
            if "Dhmon-Next-Cursor" not in response.headers:
                break
            parameters["cursor"] = response.headers["Dhmon-Next-Cursor"]
        assert found == ["0004", "0003", "0002", "0001", "0000"]


def ids_of(accept: str, body: bytes) -> list[str]:
    if accept == "text/csv":
        return [row["id"] for row in csv.DictReader(io.StringIO(body.decode(), newline=""))]
    ids: list[str] = read_ipc_stream(io.BytesIO(body)).read_all()["id"].to_pylist()
    return ids
