"""What probers share: the resolver and the TLS contexts."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from collector.probes.resolve import Resolver, open_resolver
from common.errors import DhmonError
from common.probe_settings import TlsOptions


@dataclass(frozen=True, slots=True)
class ProbeTools:
    """Made once for a process; `resolver` belongs to the running event loop."""

    resolver: Resolver


@asynccontextmanager
async def open_tools() -> AsyncIterator[ProbeTools]:
    async with open_resolver() as resolver:
        yield ProbeTools(resolver)


def tls_context(options: TlsOptions, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """A client's context, made once for the same options and the same content of `ca`.

    Raises DhmonError when `ca` cannot be read: that is our fault, not the target's.
    """
    if not options.verify:
        return _unverified_context(alpn)
    try:
        changed_at = options.ca.stat().st_mtime_ns if options.ca else 0
        return _verified_context(options.ca, changed_at, alpn)
    except OSError as error:
        raise DhmonError(
            str(options.ca),
            why=f"no certificate can be read from it ({error})",
            remedy="let the probe's tls.ca name a readable PEM file",
        ) from None


@lru_cache(maxsize=64)
def _verified_context(ca: Path | None, _changed_at: int, alpn: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca) if ca else None)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


@lru_cache(maxsize=4)
def _unverified_context(alpn: tuple[str, ...]) -> ssl.SSLContext:
    """For looking: takes old versions and weak keys too, for the facts are what is wanted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    if alpn:
        context.set_alpn_protocols(alpn)
    return context
