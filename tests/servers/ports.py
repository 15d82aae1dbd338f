"""Free ports, for programs that cannot choose one themselves."""

import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """Different ports on which nothing listens at this moment."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [sock.getsockname()[1] for sock in sockets]
