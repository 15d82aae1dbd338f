"""Clicks and conversions over HTTP: decoded, kept, then acknowledged."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from collector.ingest.body import IDENTITY, Budget, encoding_of, kind_of, whole_body
from collector.ingest.decode import Decoded, Rejected, decode, decode_compressed
from collector.ingest.meters import IngestMeters
from collector.model.event import Sender
from collector.store.store import Store
from common.api_keys import ApiKey
from common.nice import be_nice
from common.quota import Quotas
from common.redis import RedisLink

# Decoded at once: handing it to a thread would cost more than it takes.
INLINE_BYTES = 16 << 10
_encode = msgspec.json.Encoder().encode


class Answer(msgspec.Struct, frozen=True):
    """Every row of the request is in one of the three; `duplicates` had been kept before."""

    accepted: int
    duplicates: int
    rejected: list[Rejected]


class EventIngest:
    """One for each process: `open_event_ingest`."""

    def __init__(
        self, store: Store, quotas: Quotas, meters: IngestMeters, thread: ThreadPoolExecutor
    ) -> None:
        self._store = store
        self._quotas = quotas
        self._meters = meters
        self._thread = thread
        self._budget = Budget(on_change=meters.bytes_at_once.set)

    async def post(self, request: web.Request, key: ApiKey) -> web.Response:
        """The answer, once everything that it calls accepted is on disk."""
        self._quotas.refuse_when_spent(key.id, key.tier)
        sender = Sender(key.id, key.user, datetime.now(UTC))
        decoded = await self._decoded(request, sender)
        headers = await self._quotas.take(key.id, key.tier, max(1, decoded.rows))
        known = await self._store.append_events(decoded.events)
        accepted, duplicates = decoded.good - len(known), len(known)
        self._meters.answered(accepted, duplicates, len(decoded.rejected))
        answer = Answer(accepted, duplicates, decoded.rejected)
        return web.Response(body=_encode(answer), headers=headers, content_type="application/json")

    async def _decoded(self, request: web.Request, sender: Sender) -> Decoded:
        encoding, kind = encoding_of(request), kind_of(request)
        body = await request.content.readany()
        if encoding == IDENTITY and len(body) <= INLINE_BYTES and request.content.at_eof():
            return decode(body, kind, sender)
        async with whole_body(request, body, self._budget) as parts:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, decode_compressed, parts, encoding, kind, sender
            )


@contextmanager
def open_event_ingest(
    store: Store, link: RedisLink, limits: dict[str, int], meters: IngestMeters
) -> Iterator[EventIngest]:
    """Ingest with a thread of its own: one, because two would only wait for each other."""
    quotas = Quotas(link, limits, on_shared=meters.quota_counted)
    with ThreadPoolExecutor(1, thread_name_prefix="ingest", initializer=be_nice) as thread:
        yield EventIngest(store, quotas, meters, thread)
