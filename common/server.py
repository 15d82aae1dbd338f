"""Run one aiohttp application as a process: bind, serve, stop on SIGTERM or Ctrl-C."""

import gc
import logging
import resource
import signal
from collections.abc import Callable

import structlog
import uvloop
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from common.listening import bind

SHUTDOWN_SECONDS = 5.0
SERVER_LOG = "aiohttp.server"
log = structlog.get_logger(__name__)


def serve(
    app: web.Application, listen: str, *, key: str, on_reload: Callable[[], None] | None = None
) -> None:
    """Serve `app` until SIGTERM or Ctrl-C; `on_reload` is called on SIGHUP.

    Raises DhmonError when the address cannot be had or a part of the app cannot start.
    """
    raise_file_limit()
    logging.getLogger(SERVER_LOG).addFilter(without_traceback)
    sock = bind(listen, key=key)
    loop = uvloop.new_event_loop()
    if on_reload is not None:
        loop.add_signal_handler(signal.SIGHUP, on_reload)

    async def say_ready(app: web.Application) -> None:
        # What is there now stays: looking through it again and again would only hold up requests.
        gc.collect()
        gc.freeze()
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


def without_traceback(record: logging.LogRecord) -> bool:
    """A filter: what is no HTTP gets one line, or anybody could fill the log with tracebacks."""
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, HttpProcessingError):
        return True
    log.info("malformed request refused", status=error.code, error=error.message)
    return False


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
