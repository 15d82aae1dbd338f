"""`GET /api/v1/samples`: a metric's samples, or what they come to over steps, a page at a time."""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

import msgspec
from aiohttp import web
from multidict import MultiMapping

from collector.api.encoders import Encoded
from collector.api.formats import More, respond
from collector.errors import InvalidRequestError
from collector.store.reader import Query
from collector.store.sample_query import (
    AGGREGATE_NAMES,
    Matcher,
    Place,
    SampleQuestion,
    place_of,
    planner,
)
from common.duration import parse_duration

DEFAULT_LIMIT, MAX_LIMIT = 1000, 10_000
DEFAULT_SPAN = timedelta(hours=1)
MAX_STEP_SECONDS = 366 * 86_400.0
MINUTE = timedelta(minutes=1)
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
PARAMETERS = frozenset({"metric", "match", "from", "to", "step", "agg", "limit", "cursor"})
LABEL_PREFIX = "label."
SELECTOR = re.compile(r"\s*\{(.*)\}\s*", re.DOTALL)
MATCHER = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)', re.ASCII)
ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


async def samples(request: web.Request) -> web.StreamResponse:
    question = _question(request.query)
    query = Query(planner(question), max_rows=question.limit)
    return await respond(request, query, _more)


def _more(encoded: Encoded) -> More:
    """How it was answered, and where the next page begins."""
    row = encoded.last() if encoded.truncated else None
    cursor = _cursor(place_of(row, encoded.notes["step_seconds"])) if row is not None else None
    headers = {"Dhmon-Level": str(encoded.notes["level"])}
    if encoded.notes["step_seconds"] is not None:
        headers["Dhmon-Step-Seconds"] = f"{encoded.notes['step_seconds']:g}"
    if cursor is not None:
        headers["Dhmon-Next-Cursor"] = cursor
    return More(members={**encoded.notes, "next_cursor": cursor}, headers=headers)


def _question(query: MultiMapping[str]) -> SampleQuestion:
    _check_names(query)
    until = _time("to", query["to"]) if "to" in query else datetime.now(UTC)
    start = _time("from", query["from"]) if "from" in query else until - DEFAULT_SPAN
    if start >= until:
        raise _invalid("from", "must be before to")
    if not query.get("metric"):
        raise _invalid("metric", "is needed, the name of a metric")
    step = _step(query.get("step", "raw"))
    aggregates = _aggregates(query, step)
    return SampleQuestion(
        metric=query["metric"],
        matchers=_matchers(query),
        start=start,
        until=until,
        step=step,
        aggregates=aggregates,
        limit=_limit(query.get("limit", str(DEFAULT_LIMIT))),
        after=_place(query["cursor"], step) if "cursor" in query else None,
    )


def _check_names(query: MultiMapping[str]) -> None:
    for name in query:
        if name not in PARAMETERS and not name.startswith(LABEL_PREFIX):
            raise _invalid(name, f"is not label.NAME or one of {', '.join(sorted(PARAMETERS))}")


def _time(name: str, text: str) -> datetime:
    """RFC 3339, or seconds since 1970."""
    try:
        if re.fullmatch(r"\d{1,11}(\.\d{1,9})?", text, re.ASCII):
            at = FIRST + timedelta(seconds=float(text))
        else:
            at = datetime.fromisoformat(text)
    except ValueError:
        raise _invalid(name, "must be like 2026-11-24T12:00:00Z, or seconds since 1970") from None
    if at.tzinfo is None:
        raise _invalid(name, "needs an offset from UTC, such as Z")
    if not FIRST <= at < LAST:
        raise _invalid(name, f"must be from {FIRST.year} to {LAST.year - 1}")
    return at.astimezone(UTC)


def _step(text: str) -> timedelta | None:
    if text == "raw":
        return None
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise _invalid("step", str(error).replace("expected", "must be") + ', or "raw"') from None
    if not 0.001 <= seconds <= MAX_STEP_SECONDS:
        raise _invalid("step", "must be from 1ms to 366d")
    step = timedelta(seconds=seconds)
    if step > MINUTE and step % MINUTE:
        raise _invalid("step", "must be a whole number of minutes from one minute on")
    return step


def _aggregates(query: MultiMapping[str], step: timedelta | None) -> tuple[str, ...]:
    if "agg" in query and step is None:
        raise _invalid("agg", "needs a step")
    names = tuple(dict.fromkeys(query.get("agg", "avg").split(",")))
    if not set(names) <= set(AGGREGATE_NAMES):
        raise _invalid("agg", f"must be of {', '.join(AGGREGATE_NAMES)}, separated by commas")
    return names


def _matchers(query: MultiMapping[str]) -> tuple[Matcher, ...]:
    equal = [
        Matcher(name.removeprefix(LABEL_PREFIX), "=", value)
        for name, value in query.items()
        if name.startswith(LABEL_PREFIX)
    ]
    selected = [matcher for text in query.getall("match", []) for matcher in _selected(text)]
    if len(equal) + len(selected) > 50:
        raise _invalid("match", "must be at most 50 matchers")
    return (*equal, *selected)


def _selected(text: str) -> list[Matcher]:
    """The matchers of a selector as in PromQL: `{a="b", c=~"d|e"}`."""
    whole = SELECTOR.fullmatch(text)
    rest = whole.group(1).strip() if whole else None
    found: list[Matcher] = []
    while rest:
        part = MATCHER.match(rest)
        if part is None:
            rest = None
            break
        value = re.sub(r'\\[n"\\]', lambda escape: ESCAPES[escape.group()], part.group(3))
        operator = cast('Literal["=", "!=", "=~", "!~"]', part.group(2))
        found.append(Matcher(part.group(1), operator, value))
        rest = rest[part.end() :]
    if rest is None:
        raise _invalid("match", 'must be like {name="value", other=~"a|b"}')
    return found


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) <= MAX_LIMIT):
        raise _invalid("limit", f"must be a number from 1 to {MAX_LIMIT}")
    return int(text)


def _place(cursor: str, step: timedelta | None) -> Place:
    try:
        place = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=Place)
        float(place.value or 0)
    except (binascii.Error, ValueError):
        raise _bad_cursor() from None
    is_in_range = (
        place.at.tzinfo is not None
        and FIRST <= place.at < LAST
        and 0 <= place.series_id < 2**64
        and 0 <= place.number < 2**31
        and 0 <= place.step <= MAX_STEP_SECONDS * 1_000_000
    )
    if not is_in_range or (place.step == 0) != (step is None):
        raise _bad_cursor()
    return place


def _cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _bad_cursor() -> InvalidRequestError:
    return _invalid("cursor", "must be a next_cursor that this address gave for the same question")


def _invalid(parameter: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"the parameter {parameter}", why=why, remedy="correct it and ask again"
    )
