"""A second engine is killed, in a network of its own: see engine.py."""

import os
import subprocess
import sys
from pathlib import Path

import docker
import pytest
from machineroom_hub.room import Room
from machineroom_spawners import names

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_engine_is_killed(engine: docker.DockerClient, room: Room, tmp_path: Path) -> None:
    image = engine.images.get(names.image(room.id, "lab-slim"))
    saved = tmp_path / "image.tar"
    with saved.open("wb") as file:
        file.writelines(image.save(named=True))
    command = ["unshare", "--net", "--mount", sys.executable, "-m", "pytest", str(HERE / "engine.py"), "-q"]
    command += ["--basetemp", str(tmp_path / "inner")]
    environment = {**os.environ, "MACHINEROOM_SAVED_IMAGE": str(saved)}
    done = subprocess.run(
        command, cwd=HERE.parents[1], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
