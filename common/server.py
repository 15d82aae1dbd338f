"""Run one aiohttp application as a process: bind, serve, stop on SIGTERM or Ctrl-C."""

import errno
import resource
import signal
import socket
from collections.abc import Callable

import structlog
import uvloop
from aiohttp import web

from common.errors import DhmonError
from common.probe_settings import host_port

SHUTDOWN_SECONDS = 5.0
log = structlog.get_logger(__name__)


def bind(listen: str, *, key: str) -> socket.socket:
    """A listening socket on `listen`; `key` is the setting that an error names."""
    host, port = host_port(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        why = {
            errno.EADDRINUSE: "another process listens there already",
            errno.EACCES: "this user may not listen there",
            errno.EADDRNOTAVAIL: "this machine has no such address",
        }.get(error.errno or 0, error.strerror or str(error))
        remedy = f"stop that process or set {key} to another address"
        raise DhmonError(f"{key} = {listen}", why=why, remedy=remedy) from None


def serve(
    app: web.Application, listen: str, *, key: str, on_reload: Callable[[], None] | None = None
) -> None:
    """Serve `app` until SIGTERM or Ctrl-C; `on_reload` is called on SIGHUP.

    Raises DhmonError when the address cannot be had or a part of the app cannot start.
    """
    raise_file_limit()
    sock = bind(listen, key=key)
    loop = uvloop.new_event_loop()
    if on_reload is not None:
        loop.add_signal_handler(signal.SIGHUP, on_reload)

    async def say_ready(app: web.Application) -> None:
        log.info("listening", address="http://{}:{}".format(*sock.getsockname()[:2]))

    app.on_startup.append(say_ready)
    try:
        web.run_app(
            app,
            sock=sock,
            loop=loop,
            print=None,
            access_log=None,
            shutdown_timeout=SHUTDOWN_SECONDS,
            handler_cancellation=False,
        )
    except BaseExceptionGroup as group:
        raise first_cause(group) from group


def first_cause(error: BaseException) -> BaseException:
    """The error that a person should read: the first inside nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def raise_file_limit() -> None:
    """Hundreds of probes in flight need more than the usual 1,024 open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
