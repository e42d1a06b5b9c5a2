"""The bench: its figures, and that its stage leaves nothing behind, however it is left."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from machineroom_hub.bench import growth, machines, spawns
from machineroom_hub.bench.figures import COLUMNS, Figure, plot
from machineroom_hub.bench.stage import Stage, stage
from machineroom_hub.room import SOURCE, Room
from machineroom_spawners.drivers.base import silent


def test_a_figure_tells_how_many_times_better_ours_is() -> None:
    spawn = Figure("spawn", "s", "DockerSpawner", ours=[2.0, 9.0, 3.0], stock=[6.0])
    assert spawn.better == 2.0
    assert spawn.row() == ["spawn", "3.00 s", "6.00 s", "2.00×", "3/1", "DockerSpawner"]
    assert len(spawn.row()) == len(COLUMNS)
    assert Figure("flood", "MB/s", more_is_better=True, ours=[10.0], stock=[40.0]).better == 0.25
    assert Figure("reset", "s", ours=[1.0]).better is None
    assert Figure("nobody came up", "s", stock=[1.0]).row()[1] == "–"


def test_a_plot_is_drawn_of_what_has_two_sides(tmp_path: Path) -> None:
    one_sided = Figure("reset", "s", ours=[1.0])
    plot([Figure("spawn", "s", ours=[1.0], stock=[2.0]), one_sided], tmp_path / "plot.svg")
    plot([one_sided], tmp_path / "empty.svg")
    drawn = (tmp_path / "plot.svg").read_text()
    assert "spawn" in drawn
    assert "reset" not in drawn


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the bench's room is made; a short path, as supervisord's socket is in it."""
    with tempfile.TemporaryDirectory(prefix="mr-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_machines_are_measured_and_nothing_is_left(
    engine: docker.DockerClient, room: Room, temporary: Path
) -> None:
    with stage(room, [], []) as here:
        found = {figure.name: figure for figure in machines.measure(here, 1, silent, {"slim": "lab-slim"})}
        id = here.room.id
    created = found["lab-slim: create, until ssh answers"]
    assert len(created.ours) == len(created.stock) == 1
    assert 0 < found["lab-slim: memory idle"].ours[0] < 100
    assert all(figure.ours for figure in found.values())
    assert _left(engine, id) == []
    assert list(temporary.iterdir()) == []


def test_growth_counts_what_many_machines_cost(
    engine: docker.DockerClient, room: Room, temporary: Path
) -> None:
    with stage(room, [], []) as here:
        found = {figure.name: figure for figure in growth.measure(here, [1, 3], silent, lab="slim")}
        assert here.driver.machines() == []
    assert len(found) == 6
    assert all(figure.ours for figure in found.values())
    assert len(found["3 machines: create one more"].ours) == 2


@pytest.mark.slow
@pytest.mark.timeout(900)  # on a busy host it has to be late, not broken
def test_spawns_are_measured_beside_a_stock_hub(
    engine: docker.DockerClient, room: Room, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = [str(SOURCE / folder) for folder in ("hub_config", "spawners", "extensions")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(packages))  # for hub and service
    with stage(room, spawns.people([1], 1), []) as here:
        found = {figure.name: figure for figure in spawns.measure(here, [1], 1, silent)}
        id = here.room.id
    first = found["spawn with a new machine"]
    assert first.ours, first.notes
    assert first.stock or first.notes, "stock gives up on a busy host, and that is told"
    assert all(figure.ours and figure.ours[0] > 0 for figure in found.values())
    assert _left(engine, id) == []
    assert list(temporary.iterdir()) == []


def test_an_interrupt_leaves_nothing_either(engine: docker.DockerClient, room: Room, temporary: Path) -> None:
    made: list[Stage] = []

    def interrupt(percent: int, message: str) -> None:
        made[0].client.networks.create("bench-test", labels={"machineroom.room": made[0].room.id})
        os.kill(os.getpid(), signal.SIGINT)

    def measure() -> None:
        with stage(room, [], []) as here:
            made.append(here)
            machines.measure(here, 1, interrupt, {"slim": "lab-slim"})

    with pytest.raises(KeyboardInterrupt):
        measure()
    assert _left(engine, made[0].room.id) == []
    assert list(temporary.iterdir()) == []


def _left(engine: docker.DockerClient, room_id: str) -> list[object]:
    ours = {"label": f"machineroom.room={room_id}"}
    return [
        *engine.containers.list(all=True, filters=ours),
        *engine.networks.list(filters=ours),
        *engine.volumes.list(filters=ours),
        *engine.images.list(filters=ours),
    ]
