"""Bodies of requests: read within limits, decompressed piece by piece, cut into whole lines."""

import asyncio
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import hdrs, web

from collector.errors import (
    IngestBusyError,
    InvalidRequestError,
    SlowRequestError,
    TooLargeError,
    UnknownEncodingError,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Of one body, as it is sent and as it is decompressed.
MAX_BODY_BYTES = 64 << 20
# Of all bodies that are being read or decoded.
MAX_BYTES_AT_ONCE = 256 << 20
READ_SECONDS = 60.0
PIECE_BYTES = 256 << 10
INPUT_BYTES = 32 << 10
# Each member costs its set-up, however little is in it.
MAX_MEMBERS = 1_000
# RFC 9659: a receiver of zstd over HTTP needs no larger window than 8 MiB.
ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}
IDENTITY, GZIP, ZSTD = "identity", "gzip", "zstd"
ENCODINGS = {"": IDENTITY, IDENTITY: IDENTITY, GZIP: GZIP, "x-gzip": GZIP, ZSTD: ZSTD}


class Budget:
    """Bytes that may be in memory at once; who takes some gives them back."""

    def __init__(
        self, limit_bytes: int = MAX_BYTES_AT_ONCE, *, on_change: Callable[[int], None]
    ) -> None:
        """`on_change` is told how many are taken."""
        self._limit = limit_bytes
        self._taken = 0
        self._on_change = on_change

    def take(self, size_bytes: int) -> None:
        """Raises IngestBusyError when there is not as much left."""
        if self._taken + size_bytes > self._limit:
            raise IngestBusyError(
                "the request",
                why="comes while as many bytes of others are in work as fit into memory",
                remedy="send it again in a second",
            )
        self._taken += size_bytes
        self._on_change(self._taken)

    def give_back(self, size_bytes: int) -> None:
        self._taken -= size_bytes
        self._on_change(self._taken)


def encoding_of(request: web.Request) -> str:
    """How the body is compressed. Raises UnknownEncodingError."""
    named = request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
    encoding = ENCODINGS.get(named)
    if encoding is None:
        raise UnknownEncodingError(
            "Content-Encoding",
            why=f"is {named[:40]!r}, which is not known here",
            remedy="compress with gzip or zstd, or not at all",
        )
    return encoding


def kind_of(request: web.Request) -> str:
    """The body's media type, as it is: aiohttp's own reading of it costs as much as an event's."""
    return request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()


@asynccontextmanager
async def whole_body(
    request: web.Request, first: bytes, budget: Budget
) -> AsyncIterator[list[bytearray]]:
    """The body as it was sent, cut somewhere, `first` being what was read of it already.

    Raises TooLargeError, IngestBusyError, SlowRequestError, InvalidRequestError.
    """
    parts = [bytearray()]
    taken = 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            chunk = first
            while chunk:
                budget.take(len(chunk))
                taken += len(chunk)
                refuse_when_too_large(taken)
                if len(parts[-1]) >= PIECE_BYTES:
                    parts.append(bytearray())
                parts[-1] += chunk
                chunk = await request.content.readany()
        yield parts
    except TimeoutError:
        raise SlowRequestError(
            "the request's body",
            why=f"was not there after {READ_SECONDS:g} s",
            remedy="send less at once, or compressed",
        ) from None
    except web.RequestPayloadError as error:
        raise InvalidRequestError(
            "the request's body", why=f"cannot be read: {error}", remedy="send it again"
        ) from None
    finally:
        budget.give_back(taken)


def refuse_when_too_large(size_bytes: int) -> None:
    if size_bytes > MAX_BODY_BYTES:
        raise TooLargeError(
            "the request's body",
            why=f"has more than {MAX_BODY_BYTES} bytes when it is decompressed",
            remedy="send it in parts",
        )


def decompressed(parts: Sequence[bytes | bytearray], encoding: str) -> Iterator[bytes]:
    """The body in pieces; it is never in memory as a whole.

    Raises InvalidRequestError when it is damaged or cut off, TooLargeError when there is too much.
    """
    total = 0
    for piece in DECODERS[encoding](parts):
        total += len(piece)
        refuse_when_too_large(total)
        yield piece


def whole_lines(pieces: Iterator[bytes], max_line_bytes: int) -> Iterator[bytes]:
    """Blocks that end where a line ends; of a longer line so much that it is seen to be longer."""
    begun = b""
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            yield begun + piece[:end]
            begun = piece[end:]
        else:
            begun = (begun + piece)[: max_line_bytes + 1]
    if begun:
        yield begun


def _gunzip(parts: Sequence[bytes | bytearray]) -> Iterator[bytes]:
    return _members(parts, lambda: zlib.decompressobj(wbits=16 + zlib.MAX_WBITS), GZIP)


def _unzstd(parts: Sequence[bytes | bytearray]) -> Iterator[bytes]:
    return _members(parts, lambda: zstd.ZstdDecompressor(options=ZSTD_OPTIONS), ZSTD)


def _members(
    parts: Sequence[bytes | bytearray], make: Callable[[], Any], encoding: str
) -> Iterator[bytes]:
    """Decompress one member after the other; both libraries have the same methods."""
    body = memoryview(b"".join(parts))
    position = 0
    for _ in range(MAX_MEMBERS):
        member = make()
        while not member.eof:
            # What zlib could not take the last time; zstd keeps it to itself.
            given = getattr(member, "unconsumed_tail", b"")
            if not given and getattr(member, "needs_input", True):
                given = body[position : position + INPUT_BYTES]
                position += len(given)
            try:
                piece = member.decompress(given, PIECE_BYTES)
            except (zlib.error, zstd.ZstdError) as error:
                raise _damaged(encoding, str(error)) from None
            if piece:
                yield piece
            elif not given and not member.eof:
                raise _damaged(encoding, "it ends too early")
        position -= len(member.unused_data)
        if position >= len(body):
            return
    raise _damaged(encoding, f"it has more than {MAX_MEMBERS} members")


def _damaged(encoding: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"the body's {encoding}", why=f"cannot be decompressed: {why}", remedy="send it again"
    )


DECODERS: dict[str, Callable[[Sequence[bytes | bytearray]], Iterator[bytes]]] = {
    IDENTITY: lambda parts: map(bytes, parts),
    GZIP: _gunzip,
    ZSTD: _unzstd,
}
