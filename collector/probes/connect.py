"""Connections made step by step, because only there can TCP and TLS be told apart."""

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from collector.model.observation import Observation, ProbeFailure
from collector.probes.certificate import refusal, tls_facts
from collector.probes.resolve import IpVersion
from collector.probes.tools import ProbeTools, tls_context
from common.probe_settings import TlsOptions

AnyProtocol = TypeVar("AnyProtocol", bound=asyncio.BaseProtocol)
Connection = TypeVar("Connection")
UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})


async def connect(
    tools: ProbeTools,
    address: tuple[str, int],
    ip: IpVersion,
    seen: Observation,
    dial: Callable[[str, int], Awaitable[Connection]],
) -> Connection:
    """What `dial` makes of the first IP address of `address` (host, port) that accepts.

    Adds to the resolve and connect phases. Raises ProbeFailure.
    """
    host, port = address
    addresses = await tools.resolver.lookup(host, ip, seen)
    started = time.perf_counter()
    try:
        connection = await _first_to_accept(addresses, port, seen, dial)
    except OSError as error:
        _add_connect(seen, started)
        raise failure(error, f"{_bracketed(seen.ip or host)}:{port}") from None
    _add_connect(seen, started)
    return connection


def _add_connect(seen: Observation, started: float) -> None:
    seen.phases.connect = (seen.phases.connect or 0.0) + time.perf_counter() - started


async def _first_to_accept(
    addresses: list[str],
    port: int,
    seen: Observation,
    dial: Callable[[str, int], Awaitable[Connection]],
) -> Connection:
    last_error = OSError(errno.EADDRNOTAVAIL, "no address")
    for address in addresses:
        seen.ip = address
        try:
            return await dial(address, port)
        except OSError as error:
            last_error = error
    raise last_error


async def dial_socket(address: str, port: int) -> socket.socket:
    """A connected socket that does not block."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def secure(
    make_protocol: Callable[[], AnyProtocol],
    sock: socket.socket,
    address: tuple[str, int],
    options: TlsOptions,
    seen: Observation,
    alpn: tuple[str, ...] = (),
) -> tuple[asyncio.Transport, AnyProtocol]:
    """A TLS session over `sock`, its facts noted; adds to the tls phase.

    When the certificate is refused, its facts are fetched by a second handshake that verifies
    nothing, and ProbeFailure("certificate") is raised.
    """
    host, port = address
    name = options.server_name or host
    context = _context(options, alpn, sock)
    started = time.perf_counter()
    try:
        transport, protocol = await _shake_hands(make_protocol, sock, context, name)
    except ssl.SSLCertVerificationError as error:
        _add_tls(seen, started)
        problem = error.verify_message.rstrip(".")
        await _look_without_verifying((seen.ip or host, port), name, seen, problem)
        raise ProbeFailure("certificate", refusal(problem, seen.tls)) from None
    except OSError as error:
        _add_tls(seen, started)
        raise ProbeFailure("tls", f"the TLS handshake failed: {_reason(error)}") from None
    _add_tls(seen, started)
    _note_facts(transport, seen, None if options.verify else "not verified, as configured")
    return transport, protocol


def _context(options: TlsOptions, alpn: tuple[str, ...], sock: socket.socket) -> ssl.SSLContext:
    try:
        return tls_context(options, alpn)
    except BaseException:
        sock.close()
        raise


def _add_tls(seen: Observation, started: float) -> None:
    seen.phases.tls = (seen.phases.tls or 0.0) + time.perf_counter() - started


async def _shake_hands(
    make_protocol: Callable[[], AnyProtocol],
    sock: socket.socket,
    context: ssl.SSLContext,
    name: str,
) -> tuple[asyncio.Transport, AnyProtocol]:
    return await asyncio.get_running_loop().create_connection(
        make_protocol, sock=sock, ssl=context, server_hostname=name
    )


def _note_facts(transport: asyncio.Transport, seen: Observation, problem: str | None) -> None:
    try:
        seen.tls = tls_facts(transport.get_extra_info("ssl_object"), problem=problem)
    except BaseException:
        transport.abort()
        raise


async def _look_without_verifying(
    peer: tuple[str, int], name: str, seen: Observation, problem: str
) -> None:
    """The certificate that was refused; when the target hangs up this time, it stays unseen."""
    context = tls_context(TlsOptions(verify=False))
    try:
        sock = await dial_socket(*peer)
        transport, _ = await _shake_hands(asyncio.Protocol, sock, context, name)
    except OSError:
        return
    _note_facts(transport, seen, problem)
    transport.abort()


def failure(error: OSError, peer: str) -> ProbeFailure:
    """An operating system's refusal as a result."""
    if isinstance(error, ConnectionRefusedError):
        return ProbeFailure("refused", f"{peer} refused the connection")
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return ProbeFailure("reset", f"{peer} reset the connection")
    if isinstance(error, TimeoutError):
        return ProbeFailure("timeout", f"{peer} did not answer: {_reason(error)}")
    if isinstance(error, ssl.SSLError):
        return ProbeFailure("tls", f"the TLS session with {peer} broke: {_reason(error)}")
    if error.errno in UNREACHABLE:
        return ProbeFailure("unreachable", f"{peer} cannot be reached: {_reason(error)}")
    return ProbeFailure("connect", f"no connection to {peer}: {_reason(error)}")


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    return error.strerror or str(error) or type(error).__name__


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
