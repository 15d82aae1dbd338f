"""When an outage begins and ends."""

from datetime import timedelta

from collector.model.incident import IncidentEvent, advance
from tests.collector.conftest import NOON, make_probe, make_result


def opened() -> IncidentEvent:
    event = advance(None, make_result("down", started_at=NOON))
    assert event is not None
    return event


def test_a_first_failure_opens_an_incident_that_names_its_cause() -> None:
    event = advance(None, make_result("down", probe=make_probe(critical=True)))

    assert event is not None
    assert (event.kind, event.cause, event.severity) == ("opened", "status", "critical")
    assert event.detail == "expected status 200, got 503"
    assert event.at == NOON


def test_a_further_failure_changes_nothing() -> None:
    assert advance(opened(), make_result("down")) is None


def test_a_success_closes_the_same_incident_at_the_time_of_the_success() -> None:
    incident = opened()
    later = NOON + timedelta(minutes=7)

    event = advance(incident, make_result("up", started_at=later))

    assert event is not None
    assert (event.kind, event.incident_id) == ("closed", incident.incident_id)
    assert event.at - incident.at == timedelta(minutes=7)


def test_a_success_without_an_incident_changes_nothing() -> None:
    assert advance(None, make_result("up")) is None


def test_a_failure_in_a_maintenance_window_opens_nothing() -> None:
    assert advance(None, make_result("down", in_maintenance=True)) is None


def test_a_success_in_a_maintenance_window_closes() -> None:
    event = advance(opened(), make_result("up", in_maintenance=True))

    assert event is not None
    assert event.kind == "closed"


def test_a_run_that_says_nothing_about_the_target_neither_opens_nor_closes() -> None:
    assert advance(None, make_result("unknown")) is None
    assert advance(opened(), make_result("unknown")) is None
