"""Ports that are free, and ports that are not quite there."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

PATIENCE_SECONDS = 0.2


def free_ports(count: int) -> list[int]:
    """Different ports on which nothing listens at this moment."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [sock.getsockname()[1] for sock in sockets]


def loopback_addresses() -> list[str]:
    """127.0.0.1, and ::1 where this machine speaks IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return ["127.0.0.1"]
    return ["127.0.0.1", "::1"]


@contextmanager
def port_without_answer() -> Iterator[int]:
    """A port of 127.0.0.1 that neither accepts nor refuses: its queue is full."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        is_full = False
        while not is_full:
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
            is_full = not select.select([], [client], [], PATIENCE_SECONDS)[1]
        yield server.getsockname()[1]
