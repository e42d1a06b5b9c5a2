"""Fixtures shared by all tests: a real engine, built images, and a room of one's own that is cleaned up."""

import signal
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from clouds import new_cloud
from installation import Installation, new_browser, new_installation
from machineroom_hub.cloud import clouds_file
from machineroom_hub.room import Room
from playwright.sync_api import Browser
from rooms import new_room


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    """The Docker engine. Without one nothing here means anything, so its absence is an error."""
    client = docker.from_env(timeout=120)
    client.ping()
    return client


@pytest.fixture(scope="module")
def room(engine: docker.DockerClient) -> Iterator[Room]:
    """An installation in a folder of its own; everything that it leaves in the engine is removed."""
    with new_room(engine) as room:
        yield room


@pytest.fixture(scope="session")
def installation(engine: docker.DockerClient) -> Iterator[Installation]:
    """A whole Machineroom, one for all tests that need it: they leave it as they would find it."""
    with new_installation() as installation:
        yield installation


@pytest.fixture(scope="session")
def cloud_room(engine: docker.DockerClient) -> Iterator[Room]:
    """A room with a cloud that is up, one for all tests that need it. Coming up takes minutes."""
    with new_cloud(engine) as room:
        yield room


@pytest.fixture(scope="session")
def cloud(cloud_room: Room) -> Path:
    """The logins of that cloud: `machineroom`, an ordinary project member, and `admin`."""
    return clouds_file(cloud_room)


def pytest_configure() -> None:
    """A background job of a shell ignores interrupts, and so would what it starts; tests are about them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test asks for the cloud first waits for it to come up."""
    for item in items:
        if "cloud" in getattr(item, "fixturenames", ()) or "cloud_room" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.openstack)
            item.add_marker(pytest.mark.timeout(30 * 60))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. While it runs no test can be asynchronous, so it ends with the module that uses it."""
    with new_browser() as browser:
        yield browser
