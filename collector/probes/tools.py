"""What probers share: the resolver and the TLS contexts."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from collector.probes.resolve import Resolver, open_resolver


@dataclass(frozen=True, slots=True)
class ProbeTools:
    """Made once for a process; `resolver` belongs to the running event loop."""

    resolver: Resolver


@asynccontextmanager
async def open_tools() -> AsyncIterator[ProbeTools]:
    async with open_resolver() as resolver:
        yield ProbeTools(resolver)


@lru_cache(maxsize=64)
def tls_context(ca: Path | None, *, verify: bool) -> ssl.SSLContext:
    """A client's context; loading the trust store takes milliseconds, so each is made once."""
    context = ssl.create_default_context(cafile=str(ca) if ca else None)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        # What is only looked at may be old: the facts are wanted, not the connection.
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    return context
