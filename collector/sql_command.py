"""`dhmon sql`: a question to the store, whether or not the collector runs."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec
from aiohttp import ClientError

from collector.api.encoders import Encoded, encode_csv, encode_json
from collector.api.sql import MAX_ROWS
from collector.running import RunningCollector, running_collector
from collector.store.care import opened
from collector.store.lake import place_of
from collector.store.meters import StoreMeters
from collector.store.reader import Query, Reader
from collector.store.result import Column, Statement
from collector.table import table
from common.cli import config_option
from common.errors import DhmonError
from common.settings import OtelSettings, Settings, load
from common.telemetry import start


@dataclass(frozen=True, slots=True)
class Question:
    sql: str
    params: list[Any]
    limit: int
    wants_csv: bool


class Answer(msgspec.Struct, frozen=True):
    """What the route answers."""

    columns: list[Column]
    rows: list[list[Any]]
    truncated: bool


@click.command()
@click.argument("query")
@click.option("--param", "params", multiple=True, help="Value of the next ?; JSON, else text.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_ROWS),
    default=MAX_ROWS,
    show_default=True,
    help="Rows at most.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what POST /api/v1/sql answers.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@config_option
def sql(
    query: str,
    params: tuple[str, ...],
    limit: int,
    as_json: bool,
    as_csv: bool,
    config_path: Path | None,
) -> None:
    """Ask the store one SELECT.

    It asks the running collector, else it opens the store itself. Tables: docs/sql.md.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    question = Question(query, [_value(text) for text in params], limit, as_csv)
    body, is_truncated = asyncio.run(_answered(load(config_path), question))
    if as_json or as_csv:
        sys.stdout.buffer.write(body)
        click.echo("", nl=as_json)
    else:
        answer = msgspec.json.decode(body, type=Answer)
        names = [column.name for column in answer.columns]
        click.echo(table(names, answer.rows, fits=sys.stdout.isatty()))
        click.echo(_count(len(answer.rows), is_truncated=is_truncated))
    if is_truncated:
        click.echo(f"dhmon: there are more rows than these; --limit is {limit}", err=True)


def _value(text: str) -> object:
    """A number, true, false, null or a quoted text as in JSON; anything else is itself."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return value if isinstance(value, str | int | float | bool | None) else text


def _count(rows: int, *, is_truncated: bool) -> str:
    if is_truncated:
        return f"(the first {rows} rows; there are more)"
    return f"({rows} row{'' if rows == 1 else 's'})"


async def _answered(settings: Settings, question: Question) -> tuple[bytes, bool]:
    """The answer's bytes, and whether there were more rows."""
    async with running_collector(settings) as collector:
        if collector is not None:
            return await _ask_collector(collector, question)
    return await _ask_store(settings, question)


async def _ask_collector(collector: RunningCollector, question: Question) -> tuple[bytes, bool]:
    accept = "text/csv" if question.wants_csv else "application/json"
    url = f"{collector.url}/api/v1/sql"
    asked = {"sql": question.sql, "params": question.params, "limit": question.limit}
    try:
        async with collector.session.post(url, json=asked, headers={"Accept": accept}) as response:
            body = await response.read()
    except (ClientError, TimeoutError) as error:
        lost = f"the connection was lost ({type(error).__name__})"
        raise DhmonError(url, why=lost, remedy="see the collector's log") from error
    if response.status != 200:
        raise _refusal(url, body)
    return body, response.headers.get("Dhmon-Truncated") == "true"


def _refusal(url: str, body: bytes) -> DhmonError:
    """The collector's own sentence, taken apart as it was put together."""
    try:
        detail = str(msgspec.json.decode(body)["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return DhmonError(url, why="gave no readable answer", remedy="see that the collector runs")
    sentence, _, remedy = detail.rpartition("; ")
    what, _, why = sentence.partition(": ")
    return DhmonError(what or url, why=why or detail, remedy=remedy)


async def _ask_store(settings: Settings, question: Question) -> tuple[bytes, bool]:
    place, key = place_of(settings), settings.collector.encryption_key
    telemetry = start(OtelSettings(), service="sql", version="0", environment="development")
    query = Query(Statement(question.sql, question.params), question.limit)
    encoder = encode_csv if question.wants_csv else encode_json
    with opened(place, key) as database:
        database.lock_down()
        reader = Reader(database, StoreMeters(telemetry))
        try:
            with reader.admitted():
                encoded = await reader.answer(query, lambda result: encoder(result, _nothing))
        finally:
            reader.stop()
    return bytes(encoded.body), encoded.truncated


def _nothing(_: Encoded) -> dict[str, object]:
    return {}
