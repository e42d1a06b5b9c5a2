"""The class that all tests of the service share."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from classroom import Classroom, open_classroom

collect_ignore = ["courses"]  # their test_*.py are checks of machines

GROUPS = {
    "nbgrader-demo": ["ada", "ben", "d.knuth@example.org", "cyd"],
    "formgrade-demo": ["tom", "ina"],
    "teach-demo": ["ina"],
    "nbgrader-other": ["eve"],
    "formgrade-other": ["tim"],
    "nbgrader-broken": ["eve"],
    "formgrade-broken": ["tim"],
    "machineroom-operators": ["root"],
}


@pytest.fixture(scope="session")
def school(engine: docker.DockerClient) -> Iterator[Classroom]:
    """One hub and one service for all tests of this folder: starting them takes seconds."""
    with open_classroom(engine, Path(__file__).parent / "courses", GROUPS) as made:
        yield made
