"""What the web app tells the collector about its people, through one Redis key."""

from datetime import datetime
from typing import Literal

import msgspec

KEY = "dhmon:platform"
# Written every interval; a report that is older than three of them says nothing about now.
INTERVAL_SECONDS = 15.0
STALE_SECONDS = 3 * INTERVAL_SECONDS


class UserCount(msgspec.Struct, frozen=True, kw_only=True):
    role: str
    tier: str
    state: Literal["enabled", "disabled"]
    count: int


class PlatformReport(msgspec.Struct, frozen=True, kw_only=True):
    """All users by role, tier and state; sessions that have not expired; both at `measured_at`."""

    measured_at: datetime
    users: list[UserCount]
    sessions_active: int
