"""What a target's answer is held against."""

import json
import re
import time
from functools import lru_cache

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult
from multidict import CIMultiDictProxy

from collector.model.observation import Observation, ProbeFailure
from common.duration import format_duration
from common.probe_settings import HttpExpectation

MATCHED_BYTES = 1 << 20
SHOWN_CHARACTERS = 80


def check_status(status: int, expect: HttpExpectation) -> None:
    """Without any expected status, every 2xx will do."""
    if expect.status and status not in expect.status:
        wanted = " or ".join(str(code) for code in expect.status)
        raise ProbeFailure("status", f"expected status {wanted}, got {status}")
    if not expect.status and not 200 <= status < 300:
        raise ProbeFailure("status", f"expected a status from 200 to 299, got {status}")


def check_headers(
    headers: CIMultiDictProxy[str], expect: HttpExpectation, seen: Observation
) -> None:
    """A header that comes several times need match once."""
    for name, wanted in expect.header.items():
        values = headers.getall(name, [])
        if not values:
            raise ProbeFailure("header", f"expected the header {name}, there is none")
        if not any(pattern(wanted).search(value) for value in values):
            seen.failed_due_to_regex = True
            got = ", ".join(shown(value) for value in values)
            detail = f"expected the header {name} to match {wanted!r}, got {got}"
            raise ProbeFailure("header", detail)


def check_body(body: bytes, expect: HttpExpectation, seen: Observation) -> None:
    """`body`: the first MATCHED_BYTES of it."""
    if expect.body is not None:
        text = body.decode("utf-8", "replace")
        if not pattern(expect.body).search(text):
            seen.failed_due_to_regex = True
            detail = f"expected the body to match {expect.body!r}, got {shown(text)}"
            raise ProbeFailure("body", detail)
    if expect.json_values:
        _check_json(body, expect)


def _check_json(body: bytes, expect: HttpExpectation) -> None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        got = shown(body.decode("utf-8", "replace"))
        if len(body) == MATCHED_BYTES:
            got = f"more than the {MATCHED_BYTES >> 20} MiB that are looked at"
        raise ProbeFailure("json", f"expected JSON, got {got}") from None
    for path, wanted in expect.json_values.items():
        try:
            found = _compiled(path).search(document)
        except JMESPathError as error:
            raise ProbeFailure("json", f"{path} cannot be evaluated: {error}") from None
        if not _equal(found, wanted):
            detail = f"expected {path} to be {wanted!r}, got {shown(json.dumps(found))}"
            raise ProbeFailure("json", detail)


def _equal(found: object, wanted: object) -> bool:
    """As JSON has it: 1 is 1.0, but true is not 1, though in Python it is."""
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)


# Both compile once for each probe: the caches of re and jmespath are smaller than our targets many.
@lru_cache(maxsize=4096)
def pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


@lru_cache(maxsize=4096)
def _compiled(path: str) -> ParsedResult:
    return jmespath.compile(path)


def check_latency(started: float, wanted_seconds: float | None) -> None:
    """`started` on the clock of time.perf_counter."""
    took = time.perf_counter() - started
    if wanted_seconds is not None and took > wanted_seconds:
        detail = f"expected an answer within {format_duration(wanted_seconds)}, took {took:.3f} s"
        raise ProbeFailure("latency", detail)


def shown(text: str) -> str:
    """What a target said, in quotes."""
    return repr(shortened(text))


def shortened(text: str) -> str:
    """The beginning of what a target said: enough to recognise it, too little to leak much."""
    return text[:SHOWN_CHARACTERS] + ("…" if len(text) > SHOWN_CHARACTERS else "")
