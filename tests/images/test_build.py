"""Real builds, of images small enough to take a second each: they stand on Debian and fetch nothing."""

import os
import signal
import subprocess
import sys

import docker
import pytest
from local import until
from machineroom_hub.images import ImageError, build, list_images
from machineroom_hub.room import Room
from machineroom_spawners.names import image as image_tag

from .conftest import Write


class Watch:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int, str]] = []

    def __call__(self, image: str, percent: int, message: str) -> None:
        self.said.append((image, percent, message))

    def steps(self, image: str) -> list[str]:
        """The titles of the steps that were really done for `image`."""
        return list(dict.fromkeys(m.partition(":")[0] for i, p, m in self.said if i == image and p < 100))


def chain(engine: docker.DockerClient, room: Room, name: str) -> list[str]:
    """The file system layers of an image, lowest first."""
    return engine.api.inspect_image(image_tag(room.id, name))["RootFS"]["Layers"]


def run(engine: docker.DockerClient, room: Room, name: str, command: str) -> str:
    """What a shell command prints in a container of the image."""
    image = image_tag(room.id, name)
    output = engine.containers.run(image, ["-c", command], entrypoint="/bin/sh", remove=True)
    return output.decode().strip()


@pytest.fixture(scope="module", autouse=True)
def debian(room: Room) -> None:
    """Debian itself, so that no test pays for it or is measured with it."""
    folder = room.courses / "ground" / "images" / "ground"
    folder.mkdir(parents=True)
    (folder / "image.yml").write_text("from: debian\n")
    build(room, ["ground"])


def test_who_wants_to_be_named_is_built_when_named(
    room: Room, engine: docker.DockerClient, write: Write
) -> None:
    write("feast", "when_named: true\nfiles: {menu: /etc/menu}\n", menu="swan\n")
    assert "feast" not in [image.name for image in build(room)]
    assert [image.built for image in list_images(room) if image.name == "feast"] == [None]
    assert [image.up_to_date for image in build(room, ["feast"])] == [True]


def test_a_changed_file_rebuilds_its_layer_only(
    room: Room, engine: docker.DockerClient, write: Write
) -> None:
    write(
        "soup",
        "files: {menu: /etc/menu}\nscript: setup.sh\n",
        menu="carrots\n",
        **{"setup.sh": "date +%N > /x\n"},
    )
    watch = Watch()
    build(room, ["soup"], progress=watch)
    assert watch.steps("soup") == ["Files", "setup.sh", "How it starts"]
    first = chain(engine, room, "soup")
    assert run(engine, room, "soup", "cat /etc/menu; ls /mnt") == "carrots", "the script's inputs are gone"

    # The script changes: Debian and the files stay, the very same layers.
    write("soup", "files: {menu: /etc/menu}\nscript: setup.sh\n", **{"setup.sh": "echo b > /x\n"})
    assert [image.up_to_date for image in list_images(room) if image.name == "soup"] == [False]
    watch = Watch()
    build(room, ["soup"], progress=watch)
    assert watch.steps("soup") == ["setup.sh", "How it starts"]
    second = chain(engine, room, "soup")
    assert second[:2] == first[:2]
    assert second[2] != first[2]

    # The file changes back and forth; nothing at all is done for what did not change.
    watch = Watch()
    build(room, ["soup"], progress=watch)
    assert watch.steps("soup") == []
    assert chain(engine, room, "soup") == second
    write("soup", "files: {menu: /etc/menu}\nscript: setup.sh\n", menu="leeks\n")
    watch = Watch()
    build(room, ["soup"], progress=watch)
    assert watch.steps("soup") == ["Files", "setup.sh", "How it starts"]
    assert chain(engine, room, "soup")[0] == first[0]
    assert run(engine, room, "soup", "cat /etc/menu") == "leeks"

    layers = engine.images.list(filters={"label": "machineroom.layer-of=soup"})
    assert len(layers) == 3, "layers that no image stands on any more are gone"


def test_a_courses_own_image(room: Room, engine: docker.DockerClient, write: Write) -> None:
    write("broth", "init: tini\ncmd: [sleep, '9']\nuser: nobody\nenv: {POT: big one}\n")
    write(
        "stew",
        """\
        from: broth
        description: Broth with bones
        files: {bones: /opt/bones}
        env: {LID: 'on'}
        """,
        bones="12\n",
    )
    [image] = build(room, ["stew"])
    assert (image.name, image.description, image.up_to_date) == ("stew", "Broth with bones", True)
    config = engine.api.inspect_image(image_tag(room.id, "stew"))["Config"]
    assert config["Entrypoint"] == ["/usr/bin/tini", "--"]
    assert config["Cmd"] == ["sleep", "9"]
    assert config["User"] == "nobody"
    assert config["StopSignal"] == "SIGTERM"
    assert {"POT=big one", "LID=on"} <= set(config["Env"])
    assert config["Labels"]["machineroom.image"] == "stew"
    assert config["Labels"]["machineroom.init"] == "tini"
    assert run(engine, room, "stew", "id -un; cat /opt/bones; echo $POT") == "nobody\n12\nbig one"

    # What a course's image stands on changes: the image is made anew on it.
    write("broth", "init: systemd\n")
    [image] = build(room, ["stew"])
    config = engine.api.inspect_image(image_tag(room.id, "stew"))["Config"]
    assert (config["Entrypoint"], config["Cmd"], config["StopSignal"]) == (None, ["/sbin/init"], "SIGRTMIN+3")


def test_list(room: Room, write: Write) -> None:
    write("salad", "files: {leaf: /leaf}\n", leaf="l" * 3_000_000)
    [missing] = [image for image in list_images(room) if image.name == "salad"]
    assert (missing.up_to_date, missing.built, missing.age, missing.size) == (False, None, None, 0)
    build(room, ["salad"])
    [made] = [image for image in list_images(room) if image.name == "salad"]
    assert made.up_to_date
    assert made.age is not None
    assert 0 <= made.age < 60
    assert 3_000_000 <= made.own_size < 3_100_000
    assert made.size > made.own_size + 50_000_000
    assert made.seconds > 0


def test_a_failing_step_is_explained(room: Room, engine: docker.DockerClient, write: Write) -> None:
    write("burnt", "script: setup.sh\n", **{"setup.sh": "seq 50\necho the pan is missing >&2\nfalse\n"})
    write("fine", "env: {A: b}\n")
    with pytest.raises(ImageError) as error:
        build(room, ["burnt", "fine"])
    lines = str(error.value).splitlines()
    assert lines[0] == "image burnt: step 'setup.sh': it ended with code 1"
    assert lines[1] == "    32", "of much output the last twenty lines"
    assert lines[-2] == "    the pan is missing"
    assert lines[-1].startswith(
        "Next: mend what the last lines tell of, then run: ./machineroom image build burnt"
    )
    assert engine.images.list(image_tag(room.id, "fine")), "what does not stand on it is made"
    assert not leftovers(engine, room)


def test_disk_full_is_told(room: Room, write: Write) -> None:
    write(
        "full", "script: setup.sh\n", **{"setup.sh": "echo 'write error: No space left on device'\nexit 1\n"}
    )
    with pytest.raises(ImageError, match="Next: free some space on the disk"):
        build(room, ["full"])


def test_an_unknown_package_is_told(room: Room, write: Write) -> None:
    write("typo", "packages: [ngnix-lihgt]\n")
    with pytest.raises(
        ImageError, match=r"(?s)Unable to locate package ngnix-lihgt.*Next: mend the package's name"
    ):
        build(room, ["typo"])


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_goes_on(
    room: Room, engine: docker.DockerClient, write: Write, kill: signal.Signals
) -> None:
    name = f"slow-{kill.name.lower()}"
    script = {"setup.sh": "echo begun\nsleep 60\n"}
    write(name, "files: {spice: /spice}\nscript: setup.sh\n", spice=name, **script)
    code = (
        "import sys; from pathlib import Path; from machineroom_hub.images import build;"
        "from machineroom_hub.room import Room; build(Room(Path(sys.argv[1])), [sys.argv[2]])"
    )
    paths = os.pathsep.join(sys.path)
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(room.state), name], env={**os.environ, "PYTHONPATH": paths}
    )
    try:
        until(lambda: leftovers(engine, room, running=True), 60, "no build began")
        child.send_signal(kill)
        child.wait(timeout=20)
    finally:
        child.kill()
        child.wait()
    assert child.returncode != 0
    if kill == signal.SIGINT:
        assert not leftovers(engine, room), "a build that is told to stop leaves no container"

    write(name, "files: {spice: /spice}\nscript: setup.sh\n", **{"setup.sh": "echo quick now\n"})
    watch = Watch()
    build(room, [name], progress=watch)
    assert watch.steps(name) == ["setup.sh", "How it starts"], "what was done before is not done again"
    assert not leftovers(engine, room), "one that was killed is cleaned up after"


def test_two_builds_at_once_do_the_work_once(room: Room, engine: docker.DockerClient, write: Write) -> None:
    from concurrent.futures import ThreadPoolExecutor

    write("shared", "script: setup.sh\n", **{"setup.sh": "sleep 1; date +%N > /x\n"})
    watches = [Watch(), Watch()]
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda watch: build(room, ["shared"], progress=watch), watches))
    assert made[0][0].built == made[1][0].built
    assert sum("setup.sh" in watch.steps("shared") for watch in watches) == 1
    assert sum("waiting for another build to end" in watch.steps("shared") for watch in watches) == 1


def leftovers(engine: docker.DockerClient, room: Room, running: bool = False) -> list[str]:
    """Containers of builds in the room."""
    found = engine.containers.list(
        all=not running, filters={"name": f"^/mr-{room.id}-build-"}, ignore_removed=True
    )
    return [container.name for container in found]
