"""An image's manifest, `image.yml`: what is in the image and how it starts.

from: lab
description: A lab machine with a web server and a message of the day
packages: [nginx]
files: {motd: /etc/motd}
script: setup.sh
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from machineroom_spawners.content import Content, ContentError, read
from pydantic import Field, StringConstraints, model_validator

from ..room import SOURCE, Room

DEBIAN = "debian"
"""What every image stands on in the end: Debian 13, bootstrapped by us."""

Package = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]
Absolute = Annotated[str, StringConstraints(pattern=r"^/")]


class Manifest(Content):
    """One image as its author wrote it. `folder` holds the manifest and what it names."""

    name: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=60)
    folder: Path
    root: Path
    """The clone or the course that the image belongs to; nothing outside it gets into the image."""

    base: str = Field(DEBIAN, alias="from", description="'debian' or another image's name")
    description: str = ""
    packages: tuple[Package, ...] = Field((), description="Debian packages, without those they recommend")
    python: str | None = Field(None, description="a lock file with hashes, installed to /opt/machineroom")
    files: dict[str, Absolute] = Field({}, description="file or folder beside the manifest: where it goes")
    script: str | None = Field(None, description="a shell script beside the manifest, run once as root")
    when_named: bool = Field(False, description="build it only when it is asked for by name")
    wheel: bool = Field(False, description="install Machineroom's own packages to /opt/machineroom")
    init: Literal["systemd", "tini"] | None = Field(None, description="what runs as process 1")
    cmd: tuple[str, ...] | None = Field(None, description="what tini starts")
    user: str | None = None
    workdir: Absolute | None = None
    env: dict[str, str] = Field({})

    @model_validator(mode="after")
    def _files_exist(self) -> Self:
        if self.name == DEBIAN:
            raise ValueError(f"'{DEBIAN}' is what other images stand on; give this one another name")
        if self.init == "systemd" and self.cmd:
            raise ValueError("cmd: systemd starts its units; an image with a cmd needs 'init: tini'")
        for key, name in self._named():
            path = (self.folder / name).resolve()
            if not path.exists():
                raise ValueError(f"{key}: there is no {name} in {self.folder}")
            if not path.is_relative_to(self.root):
                raise ValueError(f"{key}: {name} leads out of {self.root}; keep what is needed in there")
        return self

    def _named(self) -> Iterable[tuple[str, str]]:
        yield from (("files", source) for source in self.files)
        yield from ((key, name) for key in ("script", "python") if (name := getattr(self, key)))

    @cached_property
    def file(self) -> Path:
        """Where the manifest lies, for messages."""
        return self.folder / "image.yml"


def read_manifest(folder: Path, root: Path) -> Manifest:
    """The manifest in `folder`, whose name is the image's. Raises ContentError."""
    folder = folder.resolve()
    return read(folder / "image.yml", Manifest, name=folder.name, folder=folder, root=root.resolve())


def read_manifests(room: Room) -> dict[str, Manifest]:
    """Every image that the room knows: ours and those of its courses. Raises ContentError."""
    roots = [SOURCE, *sorted(path.parent for path in room.courses.glob("*/images"))]
    found: dict[str, Manifest] = {}
    for root in roots:
        for path in sorted(root.glob("images/*/image.yml")):
            manifest = read_manifest(path.parent, root)
            if other := found.get(manifest.name):
                raise ContentError(
                    f"{path}: the name '{manifest.name}' is taken by {other.file}; rename the folder"
                )
            found[manifest.name] = manifest
    for manifest in found.values():
        _ = lineage(manifest, found)
    return found


def lineage(manifest: Manifest, known: dict[str, Manifest]) -> list[Manifest]:
    """The manifest and all that it stands on, the lowest first. Raises ContentError."""
    line = [manifest]
    while (base := line[-1].base) != DEBIAN:
        if base not in known:
            near = ", ".join([DEBIAN, *sorted(known)])
            raise ContentError(f"{line[-1].file}: from: there is no image '{base}'; there are: {near}")
        if known[base] in line:
            raise ContentError(f"{line[-1].file}: from: '{base}' stands on '{line[-1].name}' itself")
        line.append(known[base])
    return line[::-1]
