"""The queue of those who start: its order, what they are told, and that no turn is ever lost."""

import asyncio

import pytest
from machineroom_spawners.turns import Turns, in_words


class Guest:
    """Somebody who takes a turn, and ends it when told to."""

    def __init__(self, turns: Turns) -> None:
        self.told: list[int] = []
        self.estimates: list[float | None] = []
        self.inside = False
        self.done = asyncio.Event()
        self.task = asyncio.create_task(self._take(turns))

    async def _take(self, turns: Turns) -> None:
        async with turns.turn(self._tell):
            self.inside = True
            await self.done.wait()
        self.inside = False

    def _tell(self, place: int, seconds: float | None) -> None:
        self.told.append(place)
        self.estimates.append(seconds)

    async def leave(self) -> None:
        self.done.set()
        await self.task


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def come(turns: Turns, count: int) -> list[Guest]:
    guests = [Guest(turns) for _ in range(count)]
    await settle()
    return guests


async def test_they_get_in_as_they_came_and_know_their_place() -> None:
    guests = await come(Turns(2), 5)
    assert [guest.inside for guest in guests] == [True, True, False, False, False]
    assert [guest.told for guest in guests] == [[], [], [1], [2], [3]]
    await guests[1].leave()
    await settle()
    assert [guest.inside for guest in guests] == [True, False, True, False, False]
    assert guests[4].told == [3, 2]
    for guest in guests:
        await guest.leave()
    assert not any(guest.inside for guest in guests)


async def test_the_estimate_follows_what_turns_take() -> None:
    turns = Turns(1)
    first, second, third, fourth = await come(turns, 4)
    assert second.estimates == [None], "nobody was through yet"
    await asyncio.sleep(0.05)
    await first.leave()
    await settle()
    one, two = third.estimates[-1], fourth.estimates[-1]
    assert one is not None
    assert two is not None
    assert two == pytest.approx(2 * one)
    for guest in (second, third, fourth):
        await guest.leave()


@pytest.mark.parametrize("late", [False, True])
async def test_who_gives_up_takes_nobodys_turn(late: bool) -> None:
    guests = await come(Turns(1), 3)
    if late:
        guests[0].done.set()  # lets the second in, who is broken off before knowing
        await asyncio.sleep(0)
    guests[1].task.cancel()
    await settle()
    assert guests[1].task.cancelled()
    assert not guests[1].inside
    guests[0].done.set()
    await settle()
    assert guests[2].inside
    await guests[2].leave()


async def test_a_turn_that_fails_is_given_back() -> None:
    turns = Turns(1)

    async def fail() -> None:
        async with turns.turn(lambda _place, _seconds: None):
            raise ValueError("broken")

    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await asyncio.wait_for(fail(), 5)


def test_places_in_words() -> None:
    assert in_words(1, None) == "you are next"
    assert in_words(7, 22.0) == "you are number 7 in the queue, about 25 seconds"
    assert in_words(2, 0.3).endswith("about 5 seconds")
    assert in_words(3, 58.0).endswith("about 1 minute")
    assert in_words(90, 200.0).endswith("about 4 minutes")
