"""An S3 emulator (moto) on loopback, for what writes to and lists real buckets over HTTP."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from tests.servers.process import running

BUCKET = "lake"
READY = r"Running on (http://127\.0\.0\.1:\d+)"


@contextmanager
def running_s3(folder: Path) -> Iterator[str]:
    """The emulator with one empty bucket, BUCKET; yields its address. Any key is accepted."""
    server = Path(sys.executable).with_name("moto_server")
    command: list[str | Path] = [server, "-H", "127.0.0.1", "-p", "0"]
    with running(command, log=folder / "s3.log", ready=READY) as found:
        urlopen(Request(f"{found[1]}/{BUCKET}", method="PUT")).close()
        yield found[1]
