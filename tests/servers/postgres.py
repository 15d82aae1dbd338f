"""A real PostgreSQL on a unix socket, with a cluster of its own that ends with the test."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.ports import free_ports
from tests.servers.process import program, running

USER = "postgres"
READY = "database system is ready to accept connections"
SETTINGS = {"listen_addresses": "127.0.0.1", "max_connections": "60"}
# A crash of the machine is not what tests are about, and fsync is what takes the time.
HASTY = {"fsync": "off"}


@dataclass(frozen=True, slots=True)
class Postgres:
    """Where it listens: a folder with its socket, and a port of 127.0.0.1."""

    folder: Path
    port: int

    def address(self, database: str) -> str:
        """As libpq reads it."""
        return f"dbname={database} host={self.folder} port={self.port} user={USER}"

    def create(self, database: str) -> str:
        """Make an empty database and return its address."""
        self.run("postgres", f'CREATE DATABASE "{database}"')
        return self.address(database)

    def run(self, database: str, sql: str) -> str:
        """What psql prints, without headings."""
        command = ["psql", "-qtAX", "-v", "ON_ERROR_STOP=1", "-d", self.address(database)]
        done = subprocess.run([*command, "-c", sql], check=True, capture_output=True, text=True)
        return done.stdout.strip()


@contextmanager
def running_postgres(folder: Path, *, durable: bool = False) -> Iterator[Postgres]:
    """A fresh cluster, its log in `folder`; initdb and the server refuse to be root.

    It lives in a folder of its own: pytest's are private to whoever runs the tests.
    """
    with tempfile.TemporaryDirectory(prefix="postgres-") as made:
        home = Path(made)
        as_user: list[str | Path] = []
        if os.geteuid() == 0:
            shutil.chown(home, USER)
            as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
        initdb: list[str | Path] = [program("initdb"), "-D", home / "cluster"]
        options = ["-A", "trust", "-U", USER, "--no-sync"]
        subprocess.run([*as_user, *initdb, *options], check=True, capture_output=True, cwd=home)
        [port] = free_ports(1)
        server: list[str | Path] = [
            program("postgres"),
            "-D",
            home / "cluster",
            "-k",
            home,
            "-p",
            str(port),
        ]
        settings = SETTINGS if durable else SETTINGS | HASTY
        options = [part for pair in settings.items() for part in ("-c", "=".join(pair))]
        command: list[str | Path] = [*as_user, *server, *options]
        with running(command, log=folder / "postgres.log", ready=READY):
            yield Postgres(home, port)
