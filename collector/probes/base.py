"""What a prober is: it looks at one target once, notes what it learns, and raises when it fails."""

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from collector.model.observation import Observation
from common.probe_settings import ProbeBase

AnyProbe = TypeVar("AnyProbe", bound=ProbeBase, contravariant=True)


class Prober(Protocol[AnyProbe]):
    """Looks at `probe`'s target once.

    Writes into `seen` as it goes, so that a timeout still leaves the phases that were finished.
    Raises ProbeFailure when the target does not answer or does not meet an expectation; any other
    exception is a fault of ours.
    """

    def __call__(self, probe: AnyProbe, seen: Observation) -> Awaitable[None]: ...
