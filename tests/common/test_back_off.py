"""Pauses between restarts."""

from common.back_off import BackOff

RESTART = BackOff(first_seconds=1, longest_seconds=30, healthy_seconds=60)


def test_pauses_double_up_to_the_longest() -> None:
    pauses: list[float] = []
    pause = None
    for _ in range(7):
        pause = RESTART.after(pause, lived_seconds=0.5)
        pauses.append(pause)

    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_what_lived_long_enough_begins_anew() -> None:
    assert RESTART.after(30, lived_seconds=59.9) == 30
    assert RESTART.after(30, lived_seconds=60) == 1
