"""Sockets made by hand, because only where the socket is made can TCP and TLS be told apart."""

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

from collector.model.observation import Observation, ProbeFailure
from collector.probes.certificate import tls_facts
from collector.probes.resolve import IpVersion, is_address
from collector.probes.tools import ProbeTools, tls_context
from common.probe_settings import TlsOptions

AnyProtocol = TypeVar("AnyProtocol", bound=asyncio.BaseProtocol)
UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})


async def connect(
    tools: ProbeTools, host: str, port: int, ip: IpVersion, seen: Observation
) -> socket.socket:
    """A connected TCP socket to the first address of `host` that accepts.

    Adds to the resolve and connect phases. Raises ProbeFailure.
    """
    addresses = await tools.resolver.lookup(host, ip, seen)
    started = time.perf_counter()
    try:
        return await _first_to_accept(addresses, port, seen)
    except OSError as error:
        raise failure(error, f"{addresses[0]}:{port}") from None
    finally:
        _add_connect(seen, time.perf_counter() - started)


def _add_connect(seen: Observation, seconds: float) -> None:
    seen.phases.connect = (seen.phases.connect or 0.0) + seconds


async def _first_to_accept(addresses: list[str], port: int, seen: Observation) -> socket.socket:
    last_error: OSError | None = None
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except OSError as error:
            sock.close()
            last_error = error
        except BaseException:
            sock.close()
            raise
        else:
            seen.ip = address
            return sock
    raise last_error or OSError(errno.EADDRNOTAVAIL, "no address")


async def secure(
    make_protocol: Callable[[], AnyProtocol],
    sock: socket.socket,
    host: str,
    options: TlsOptions,
    seen: Observation,
) -> tuple[asyncio.Transport, AnyProtocol]:
    """A TLS session over `sock`, its facts noted; adds to the tls phase.

    When the certificate is refused, its facts are fetched by a second handshake that verifies
    nothing, and ProbeFailure("certificate") is raised.
    """
    peer = sock.getpeername()[:2]
    context = tls_context(options.ca, verify=options.verify)
    started = time.perf_counter()
    try:
        transport, protocol = await _handshake(make_protocol, sock, context, host, options)
    except ssl.SSLCertVerificationError as error:
        _add_tls(seen, time.perf_counter() - started)
        await _look_without_verifying(peer, host, options, seen, error.verify_message)
        raise ProbeFailure("certificate", _refused(error, seen)) from None
    except (OSError, asyncio.IncompleteReadError) as error:
        _add_tls(seen, time.perf_counter() - started)
        raise ProbeFailure("tls", f"the TLS handshake failed: {_reason(error)}") from None
    _add_tls(seen, time.perf_counter() - started)
    problem = None if options.verify else "not verified, as configured"
    seen.tls = tls_facts(transport.get_extra_info("ssl_object"), problem=problem)
    return transport, protocol


def _add_tls(seen: Observation, seconds: float) -> None:
    seen.phases.tls = (seen.phases.tls or 0.0) + seconds


async def _handshake(
    make_protocol: Callable[[], AnyProtocol],
    sock: socket.socket,
    context: ssl.SSLContext,
    host: str,
    options: TlsOptions,
) -> tuple[asyncio.Transport, AnyProtocol]:
    name = options.server_name or host
    return await asyncio.get_running_loop().create_connection(
        make_protocol,
        sock=sock,
        ssl=context,
        # An address is verified too, but an unverified handshake sends none (RFC 6066 §3).
        server_hostname="" if not options.verify and is_address(name) else name,
    )


async def _look_without_verifying(
    peer: tuple[str, int], host: str, options: TlsOptions, seen: Observation, problem: str
) -> None:
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    unverified = options.model_copy(update={"verify": False})
    context = tls_context(None, verify=False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, peer)
        transport, _ = await _handshake(asyncio.Protocol, sock, context, host, unverified)
    except OSError:
        # The target hung up on the second look: the failure is known, its facts are not.
        sock.close()
        return
    except BaseException:
        sock.close()
        raise
    seen.tls = tls_facts(transport.get_extra_info("ssl_object"), problem=problem)
    transport.abort()


def _refused(error: ssl.SSLCertVerificationError, seen: Observation) -> str:
    reason = error.verify_message.rstrip(".")
    if seen.tls is None:
        return f"the certificate was refused: {reason}"
    end = seen.tls.certificate.earliest_expiry_at
    return f"the certificate was refused: {reason} (it ends at {end:%Y-%m-%dT%H:%M:%SZ})"


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def failure(error: OSError, peer: str) -> ProbeFailure:
    """An operating system's refusal as a result."""
    if isinstance(error, ConnectionRefusedError):
        return ProbeFailure("refused", f"{peer} refused the connection")
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return ProbeFailure("reset", f"{peer} reset the connection")
    if error.errno in UNREACHABLE:
        return ProbeFailure("unreachable", f"{peer} cannot be reached: {_reason(error)}")
    return ProbeFailure("connect", f"no connection to {peer}: {_reason(error)}")
