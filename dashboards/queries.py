"""PromQL fragments: who is asked, and the few shapes that questions have."""

# The collector and other services: `instance` is the address that Prometheus scraped.
SERVICE = ('job=~"$job"', 'instance=~"$instance"')
# Probe series are scraped with honor_labels, so that their `instance` is the target. They have a
# variable of their own: the other one would empty either the probe panels or the host panels.
PROBE = ('job=~"$job"', 'instance=~"$target"')
# The collector's words; a state's position is its code in the state timeline.
STATES = ("up", "pending", "down", "unknown", "maintenance")


def service(metric: str, *matchers: str) -> str:
    """A selector on what a service says of itself or its host."""
    return _selector(metric, (*SERVICE, *matchers))


def probe(metric: str, *matchers: str) -> str:
    """A selector on what the collector says of a target."""
    return _selector(metric, (*PROBE, *matchers))


def rate(selector: str) -> str:
    """Per second."""
    return f"rate({selector}[$__rate_interval])"


def quantile(share: float, histogram: str, *matchers: str) -> str:
    """The duration that `share` of a service histogram's events stayed below."""
    buckets = rate(service(f"{histogram}_bucket", *matchers))
    return f"histogram_quantile({share}, sum by (le) ({buckets}))"


def state_code() -> str:
    """One number for each target: the position of its state in STATES."""
    parts = [
        f"{probe('probe_state', _equals('state', state))} * {code}"
        for code, state in enumerate(STATES)
    ]
    return f"sum by (name, region) ({' or '.join(parts)})"


def in_state(*states: str) -> str:
    """How many targets are in one of `states`; no data, not 0, when no target is known."""
    return f"sum({probe('probe_state', _one_of('state', states))})"


def _selector(metric: str, matchers: tuple[str, ...]) -> str:
    return f"{metric}{{{', '.join(matchers)}}}"


def _equals(label: str, value: str) -> str:
    return f'{label}="{value}"'


def _one_of(label: str, values: tuple[str, ...]) -> str:
    if len(values) == 1:
        return _equals(label, values[0])
    return f'{label}=~"{"|".join(values)}"'
