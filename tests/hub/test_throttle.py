"""Guessing is slowed down; nobody is locked out."""

import pytest
from machineroom_hub.throttle import Allowance, Throttle


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


KEYS = {"pair": Allowance(free=3, leak=60)}


def test_free_attempts_then_growing_waits(clock: Clock) -> None:
    throttle = Throttle(clock)
    waits = []
    for _ in range(7):
        waits.append(throttle.wait(KEYS))
        clock.now += waits[-1]
        throttle.count(KEYS)
    assert waits[:3] == [0, 0, 0]
    assert waits[3:] == sorted(waits[3:])
    assert waits[3] >= 1
    assert waits[-1] > 4


def test_attempts_at_the_same_time_all_count(clock: Clock) -> None:
    throttle = Throttle(clock)
    allowed = 0
    for _ in range(100):
        if throttle.wait(KEYS) == 0:
            throttle.count(KEYS)
            allowed += 1
    assert allowed == 3


def test_a_day_of_guessing_is_held_to_the_leak(clock: Clock) -> None:
    throttle = Throttle(clock)
    tries, end = 0, clock.now + 86400
    while clock.now < end:
        clock.now += throttle.wait(KEYS) + 0.001
        throttle.count(KEYS)
        tries += 1
    assert tries <= 3 + 86400 / 60 + 10


def test_nobody_waits_longer_than_two_leaks(clock: Clock) -> None:
    throttle = Throttle(clock)
    for _ in range(1000):
        throttle.count(KEYS)
    assert throttle.wait(KEYS) <= 120


def test_right_attempts_are_taken_back_and_time_forgives(clock: Clock) -> None:
    throttle = Throttle(clock)
    for _ in range(50):
        throttle.count(KEYS)
        throttle.take_back(KEYS)
    assert throttle.wait(KEYS) == 0
    for _ in range(4):
        throttle.count(KEYS)
    assert throttle.wait(KEYS) > 0
    clock.now += 600
    assert throttle.wait(KEYS) == 0


def test_a_strangers_guesses_do_not_touch_a_known_browser(clock: Clock) -> None:
    throttle = Throttle(clock)
    for _ in range(1000):
        throttle.count({"pair 10.0.0.1 ada": KEYS["pair"], "name ada": Allowance(60, 10)})
    assert throttle.wait({"browser cookie": Allowance(10, 30)}) == 0
    assert throttle.wait({"pair 10.0.0.2 ada": KEYS["pair"]}) == 0


def test_memory_is_bounded(clock: Clock) -> None:
    throttle = Throttle(clock, most=100)
    for number in range(1000):
        throttle.count({f"pair {number}": KEYS["pair"]})
    assert len(throttle._counted) == 100
