"""A start that fails half-way closes what it had opened, in reverse, before the error is seen."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from aiohttp import web

from common.lifetime import Context, opened_in_order


def noted(name: str, log: list[str]) -> Context:
    @asynccontextmanager
    async def context(app: web.Application) -> AsyncIterator[None]:
        log.append(f"open {name}")
        try:
            yield
        finally:
            log.append(f"close {name}")

    return context


def broken(app: web.Application) -> AbstractAsyncContextManager[None]:
    raise LookupError("cannot be opened")


async def start_and_stop(*contexts: Context) -> None:
    app = web.Application()
    app.cleanup_ctx.append(opened_in_order(*contexts))
    runner = web.AppRunner(app)
    await runner.setup()
    await runner.cleanup()


async def test_all_are_opened_in_order_and_closed_in_reverse() -> None:
    log: list[str] = []

    await start_and_stop(noted("store", log), noted("probes", log))

    assert log == ["open store", "open probes", "close probes", "close store"]


async def test_a_start_that_fails_closes_what_was_open() -> None:
    log: list[str] = []

    with pytest.raises(LookupError, match="cannot be opened"):
        await start_and_stop(noted("store", log), broken, noted("probes", log))

    assert log == ["open store", "close store"]
