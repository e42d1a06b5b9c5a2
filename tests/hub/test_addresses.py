"""What an operator may say for `--subdomains`, and what follows from it."""

from pathlib import Path

import pytest
from machineroom_hub import addresses
from machineroom_hub.host import processes
from machineroom_hub.room import Room


@pytest.mark.parametrize(
    ("said", "host"),
    [
        ("lab.example.org", "https://lab.example.org"),
        ("https://Lab.example.org/", "https://lab.example.org"),
        ("http://room.localhost:8000", "http://room.localhost:8000"),
    ],
)
def test_a_host_name(said: str, host: str) -> None:
    assert addresses.subdomain_host(said) == host


@pytest.mark.parametrize(
    "said",
    [
        *("", "localhost", "10.0.0.1", "https://[::1]/", "ftp://lab.example.org", "-lab.example.org"),
        *("lab.example.org/hub", "a@lab.example.org", "lab..org", "lab.example.org:port", "*.example.org"),
    ],
)
def test_no_host_name(said: str) -> None:
    with pytest.raises(ValueError, match=r"is no host name .* write for example"):
        addresses.subdomain_host(said)


@pytest.mark.parametrize(
    ("subdomains", "url", "host", "cookies"),
    [
        ("", "http://127.0.0.1:8000/", "127.0.0.1:8000", False),
        ("https://lab.example.org", "https://lab.example.org/", "lab.example.org", True),
        ("http://lab.localhost:8000", "http://lab.localhost:8000/", "lab.localhost:8000", True),
        ("http://lab.example.org", "http://lab.example.org/", "lab.example.org", False),
    ],
)
def test_where_a_room_is(tmp_path: Path, subdomains: str, url: str, host: str, cookies: bool) -> None:
    room = Room(tmp_path)
    room.save_settings(subdomains=subdomains)
    assert (room.url, room.host_header, room.host_cookies) == (url, {"Host": host}, cookies)
    proxy = processes.programs(room, "10.0.0.1", Path("/chp"), Path("/node"))[0]
    assert ("--host-routing" in proxy.command) == bool(subdomains)
