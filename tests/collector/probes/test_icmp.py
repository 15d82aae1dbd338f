"""ICMP probes of this machine, with what its kernel permits."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.probes.conftest import LookAt
from tests.servers.ports import loopback_addresses

NOBODY = 65534
PING_GROUPS = Path("/proc/sys/net/ipv4/ping_group_range")


def may_ping(*groups: int) -> bool:
    """Whether the kernel lets a member of one of `groups` send ICMP without privileges."""
    low, high = (int(group) for group in PING_GROUPS.read_text(encoding="ascii").split())
    return any(low <= group <= high for group in groups)


def reason_here() -> str | None:
    is_allowed = os.geteuid() == 0 or may_ping(os.getegid(), *os.getgroups())
    return None if is_allowed else "permission"


@pytest.fixture
def reason_as_nobody() -> Iterator[str | None]:
    """Without privileges, root becomes nobody for a while: what a look must come to then."""
    is_root = os.geteuid() == 0
    if not is_root:
        yield reason_here()
        return
    reason = None if may_ping(NOBODY, *os.getgroups()) else "permission"
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    yield reason
    os.seteuid(0)
    os.setegid(0)


@pytest.mark.parametrize("target", [*loopback_addresses(), "localhost"])
@pytest.mark.parametrize("payload_bytes", [0, 56, 1400])
async def test_an_echo_comes_back_from_loopback(
    look: LookAt, target: str, payload_bytes: int
) -> None:
    outcome = await look("icmp", target, payload_bytes=payload_bytes)

    assert outcome.reason == reason_here()
    if outcome.failure is None:
        assert outcome.seen.phases.connect is not None
        assert outcome.seen.phases.processing is not None
        assert outcome.seen.phases.processing > 0
        assert outcome.seen.icmp is not None
        assert outcome.seen.icmp.hop_limit is not None
        assert 0 < outcome.seen.icmp.hop_limit <= 255


async def test_without_permission_it_says_what_to_permit(
    reason_as_nobody: str | None, look: LookAt
) -> None:
    outcome = await look("icmp", "127.0.0.1")

    assert outcome.reason == reason_as_nobody
    if outcome.failure is not None:
        assert "net.ipv4.ping_group_range" in outcome.detail
        assert "CAP_NET_RAW" in outcome.detail
