"""How long to wait before something that ended is started again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """Pauses that double from `first_seconds` to `longest_seconds`.

    What lived for `healthy_seconds` begins anew with the first pause.
    """

    first_seconds: float
    longest_seconds: float
    healthy_seconds: float

    def after(self, previous_seconds: float | None, *, lived_seconds: float) -> float:
        """The next pause; `previous_seconds` is the last one, None when there was none."""
        if previous_seconds is None or lived_seconds >= self.healthy_seconds:
            return self.first_seconds
        return min(previous_seconds * 2, self.longest_seconds)
