"""What an application opens at its start and closes at its end, however far the start came."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from aiohttp import web

Context = Callable[[web.Application], AbstractAsyncContextManager[None]]


def opened_in_order(*contexts: Context) -> Context:
    """One clean-up context out of many: when one cannot be opened, those before it are closed.

    aiohttp closes nothing when a start fails: it leaves the generators to the event loop, which
    ends them all at once and in no order.
    """

    @asynccontextmanager
    async def all_of_them(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for context in contexts:
                await stack.enter_async_context(context(app))
            yield

    return all_of_them
