"""Names to addresses with c-ares: asynchronous, so that a silent server holds up nobody else."""

import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Literal

import aiodns
from aiodns.error import DNSError

from collector.model.observation import Observation, ProbeFailure

IpVersion = Literal["any", "4", "6"]
FAMILIES = {"any": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}


class Resolver:
    """Honours the hosts file and resolv.conf; caches nothing, because looking is the point."""

    def __init__(self, dns: aiodns.DNSResolver) -> None:
        self._dns = dns

    async def lookup(self, host: str, ip: IpVersion, seen: Observation) -> list[str]:
        """The addresses of `host`, best first; adds to the resolve phase, and notes the first.

        Raises ProbeFailure("resolve") when there is none.
        """
        started = time.perf_counter()
        addresses = [host] if is_address(host) else await self._ask(host, ip)
        seen.phases.resolve = (seen.phases.resolve or 0.0) + time.perf_counter() - started
        seen.ip = addresses[0]
        return addresses

    async def _ask(self, host: str, ip: IpVersion) -> list[str]:
        try:
            answer = await self._dns.getaddrinfo(host, family=FAMILIES[ip], type=socket.SOCK_STREAM)
        except (DNSError, UnicodeError) as error:
            why = error.args[1] if len(error.args) > 1 else error
            raise ProbeFailure("resolve", f"the name {host} cannot be resolved: {why}") from None
        addresses = [_text(node.addr[0]) for node in answer.nodes]
        if not addresses:
            raise ProbeFailure("resolve", f"the name {host} has no IPv{ip} address")
        return addresses


@asynccontextmanager
async def open_resolver() -> AsyncIterator[Resolver]:
    async with aiodns.DNSResolver() as dns:
        yield Resolver(dns)


def is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _text(address: str | bytes) -> str:
    return address.decode() if isinstance(address, bytes) else address
