"""The reader of PromQL that other tests rely on."""

import pytest

from tests.servers.promql import Selector, metric_names, selectors


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ("up", {"up"}),
        ("vector(1)", set()),
        ('absent(up{job="collector"} == 1)', {"up"}),
        ("sum by (le, name) (rate(a_bucket[5m])) / on (le) group_left () b:c", {"a_bucket", "b:c"}),
        ('max_over_time(x[2m]) == 0 unless on (name) y{state=~"down|up"} == 1', {"x", "y"}),
        ("(z - time()) / 86400 > bool 1.5e3 offset 5m", {"z"}),
    ],
)
def test_it_finds_the_metrics_of_an_expression(expr: str, names: set[str]) -> None:
    assert metric_names(expr) == names


def test_it_reads_the_matchers_of_a_selector() -> None:
    found = selectors('rate(a{job=~"$job", phase!="tls"}[5m]) + b')

    assert found == [Selector("a", (("job", "=~", "$job"), ("phase", "!=", "tls")))]
