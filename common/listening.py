"""Addresses that we listen on: had, refused, and as others reach them."""

import errno
import socket

from common.errors import DhmonError
from common.probe_settings import host_port


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


def reachable(listen: str) -> str:
    """The "host:port" under which this machine reaches what listens on `listen`."""
    host, port = host_port(listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
