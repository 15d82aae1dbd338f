"""Bodies: decompressed within limits, refused when damaged, cut into whole lines."""

import gzip
import os
import sys
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import IngestBusyError, InvalidRequestError, TooLargeError
from collector.ingest.body import (
    MAX_BODY_BYTES,
    MAX_MEMBERS,
    PIECE_BYTES,
    Budget,
    decompressed,
    whole_lines,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIXED = os.urandom(700_000) + b"a" * 3_000_000
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "zstd": zstd.compress,
}


def whole(body: bytes, encoding: str) -> bytes:
    return b"".join(decompressed([body[:7], body[7:]], encoding))


@pytest.mark.parametrize("encoding", COMPRESS)
def test_what_was_compressed_comes_back(encoding: str) -> None:
    assert whole(COMPRESS[encoding](MIXED), encoding) == MIXED


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_several_members_are_one_body(encoding: str) -> None:
    parts = [b"one\n", b"", MIXED, b"two\n"]

    assert whole(b"".join(map(COMPRESS[encoding], parts)), encoding) == b"".join(parts)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("kept", [1, 5, 12, 1_000, 700_000, -1])
def test_a_body_that_was_cut_off_is_refused(encoding: str, kept: int) -> None:
    body = COMPRESS[encoding](MIXED)[:kept]

    with pytest.raises(InvalidRequestError, match="it ends too early"):
        whole(body, encoding)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_damaged_body_is_refused(encoding: str) -> None:
    body = bytearray(COMPRESS[encoding](MIXED))
    body[600_000:600_100] = bytes(100)

    with pytest.raises(InvalidRequestError, match="cannot be decompressed"):
        whole(bytes(body) + b"x", encoding)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_what_follows_the_last_member_is_not_ignored(encoding: str) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be decompressed"):
        whole(COMPRESS[encoding](b"x") + b"garbage", encoding)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_before_it_is_in_memory(encoding: str) -> None:
    bomb = COMPRESS[encoding](bytes(4 * MAX_BODY_BYTES))
    tracemalloc.start()

    with pytest.raises(TooLargeError, match="decompressed"):
        for _ in decompressed([bomb], encoding):
            pass

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * PIECE_BYTES


def test_a_window_that_takes_much_memory_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    compressor = zstd.ZstdCompressor(options=options)
    body = compressor.compress(MIXED) + compressor.flush()

    with pytest.raises(InvalidRequestError, match="memory"):
        whole(body, "zstd")


def test_a_body_of_tiny_members_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="more than 1000 members"):
        whole(gzip.compress(b"") * (MAX_MEMBERS + 1), "gzip")


@given(st.binary(max_size=200), st.sampled_from(["gzip", "zstd"]))
def test_any_bytes_are_decompressed_or_refused(body: bytes, encoding: str) -> None:
    try:
        found = whole(body, encoding)
    except InvalidRequestError as error:
        assert encoding in str(error)
    else:
        assert found == b""


@given(st.lists(st.sampled_from([b"\n", b"a", b"bcd", b"\r\n", b"e" * 9])), st.integers(1, 7))
def test_blocks_are_the_lines_in_their_order(parts: list[bytes], size: int) -> None:
    body = b"".join(parts)
    pieces = (body[first : first + size] for first in range(0, len(body), size))

    blocks = list(whole_lines(pieces, 100))

    assert b"".join(blocks) == body
    assert all(block.endswith(b"\n") for block in blocks[:-1])


def test_a_long_line_is_not_gathered() -> None:
    blocks = list(whole_lines(iter([b"a\n", b"b" * 50, b"b" * 50, b"b\nc"]), 10))

    assert blocks == [b"a\n", b"b" * 11 + b"b\n", b"c"]


def test_bytes_beyond_the_budget_are_refused_until_some_are_given_back() -> None:
    taken: list[int] = []
    budget = Budget(10, on_change=taken.append)
    budget.take(8)

    with pytest.raises(IngestBusyError, match="again in a second"):
        budget.take(3)
    budget.give_back(8)
    budget.take(10)

    assert taken == [8, 0, 10]
