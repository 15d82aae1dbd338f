"""Names to addresses with c-ares: asynchronous, so that a silent server holds up nobody else."""

import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from ipaddress import ip_address
from typing import Literal

import aiodns
import structlog
from aiodns import error
from pycares._cares import ffi, lib  # type: ignore[import-not-found]

from collector.model.observation import Observation, ProbeFailure

IpVersion = Literal["any", "4", "6"]
FAMILIES = {"any": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}
# What c-ares makes of an answer that has no address in it.
RCODES = {
    error.ARES_ENODATA: "NOERROR",
    error.ARES_EFORMERR: "FORMERR",
    error.ARES_ESERVFAIL: "SERVFAIL",
    error.ARES_ENOTFOUND: "NXDOMAIN",
    error.ARES_ENOTIMP: "NOTIMP",
    error.ARES_EREFUSED: "REFUSED",
}
ARES_OPT_QUERY_CACHE = 1 << 21  # ares.h; pycares does not pass it on
log = structlog.get_logger(__name__)


class UnresolvedError(ProbeFailure):
    """A name has no address; `rcode` is what the DNS server said, None when nobody answered."""

    def __init__(self, detail: str, rcode: str | None) -> None:
        super().__init__("resolve", detail)
        self.rcode = rcode


class Resolver:
    """Honours the hosts file and resolv.conf; remembers no answer, because asking is the point.

    `dns` must not have been used or configured yet.
    """

    def __init__(self, dns: aiodns.DNSResolver) -> None:
        _forget_answers(dns)
        self._dns = dns

    async def lookup(self, host: str, ip: IpVersion, seen: Observation) -> list[str]:
        """The addresses of `host`, best first; adds to the resolve phase, nothing for an address.

        Raises ProbeFailure("resolve") when there is none.
        """
        version = address_version(host)
        if version is None:
            started = time.perf_counter()
            addresses = await self.ask(host, ip)
            spent = time.perf_counter() - started
        elif ip in ("any", version):
            addresses, spent = [host], 0.0
        else:
            raise ProbeFailure("resolve", f"expected an IPv{ip} address, the target is {host}")
        seen.phases.resolve = (seen.phases.resolve or 0.0) + spent
        seen.ip = addresses[0]
        return addresses

    async def ask(self, name: str, ip: IpVersion) -> list[str]:
        """The addresses of `name` as this machine finds them. Raises UnresolvedError."""
        try:
            found = await self._dns.getaddrinfo(name, family=FAMILIES[ip], type=socket.SOCK_STREAM)
        except error.DNSError as failed:
            code, why = failed.args
            detail = f"the name {name} cannot be resolved: {why}"
            raise UnresolvedError(detail, RCODES.get(code)) from None
        except UnicodeError:
            raise UnresolvedError(f"{name} is not a valid name", None) from None
        return [_text(node.addr[0]) for node in found.nodes]


@asynccontextmanager
async def open_resolver() -> AsyncIterator[Resolver]:
    async with aiodns.DNSResolver() as dns:
        yield Resolver(dns)


def _forget_answers(dns: aiodns.DNSResolver) -> None:
    """Turn off c-ares' cache: an answer from memory hides that the server is gone.

    pycares has no option for it, so its channel is exchanged for one made here.
    """
    options = ffi.new("struct ares_options *", {"evsys": lib.ARES_EVSYS_DEFAULT})
    options.qcache_max_ttl = 0
    channel = ffi.new("ares_channel *")
    mask = lib.ARES_OPT_EVENT_THREAD | ARES_OPT_QUERY_CACHE
    # aiodns without c-ares' own thread (no inotify watch was left) drives the channel itself.
    if not dns._event_thread or lib.ares_init_options(channel, options, mask):
        log.warning("resolver remembers answers")
        return
    dns._channel._channel, cached = channel, dns._channel._channel
    lib.ares_destroy(cached[0])


@lru_cache(maxsize=4096)
def address_version(host: str) -> Literal["4", "6"] | None:
    """None for a name."""
    try:
        return "4" if ip_address(host).version == 4 else "6"
    except ValueError:
        return None


def _text(address: str | bytes) -> str:
    return address.decode() if isinstance(address, bytes) else address
