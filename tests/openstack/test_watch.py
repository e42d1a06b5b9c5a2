"""However many wait for servers, the cloud is asked once."""

import time
from concurrent.futures import ThreadPoolExecutor

from machineroom_spawners.drivers.openstack.watch import Watch


class Listing:
    """Counts how often it is asked."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.asked, self.seconds = 0, seconds

    def __call__(self) -> list[dict[str, int]]:
        self.asked += 1
        time.sleep(self.seconds)
        return [{"number": self.asked}]


def test_five_hundred_who_ask_at_once_cost_one_listing() -> None:
    listing = Listing(seconds=0.2)
    watch = Watch(listing, interval=30.0)
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: watch.servers(), range(500)))
    assert listing.asked == 1
    assert {answer[0]["number"] for answer in answers} == {1}


def test_what_was_just_changed_is_seen() -> None:
    listing = Listing()
    watch = Watch(listing, interval=0.05)
    watch.servers()
    watch.changed()
    assert watch.servers()[0]["number"] == 2
    assert watch.servers(after=time.monotonic())[0]["number"] == 3


def test_who_waits_asks_no_more_often_than_once_an_interval() -> None:
    listing = Listing()
    watch = Watch(listing, interval=0.2)
    began = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        for _ in range(3):
            list(pool.map(lambda _: watch.servers(after=time.monotonic()), range(20)))
    assert listing.asked <= 2 + (time.monotonic() - began) / 0.2


def test_a_listing_that_fails_is_asked_for_again() -> None:
    listing = Listing()

    def fails_once() -> list[dict[str, int]]:
        if not listing():
            return []
        if listing.asked == 1:
            raise OSError("away")
        return [{"number": listing.asked}]

    watch = Watch(fails_once, interval=0.01)
    try:
        watch.servers()
    except OSError:
        assert watch.servers()[0]["number"] == 2
    else:
        raise AssertionError("the first failure is told")
