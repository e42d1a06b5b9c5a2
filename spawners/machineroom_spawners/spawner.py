"""The JupyterHub spawner that brings a student a workspace, and the machines of the current lab beside it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import docker.errors
import requests
from dockerspawner import DockerSpawner
from jupyterhub.spawner import SpawnException
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from traitlets import Bytes, Dict, Unicode, default
from traitlets import Callable as CallableTrait

from . import workspace
from .content import ContentError
from .course import read_course
from .drivers import make_driver
from .drivers.base import Driver, MachineError, State
from .drivers.docker import DockerDriver
from .names import image, slug
from .ownership import give
from .spec import MachineSpec, lab_specs
from .steps import Steps
from .turns import Turns, in_words
from .workspace import Seat

T = TypeVar("T")

NOT_ANSWERING = (docker.errors.APIError, requests.RequestException)
"""What the engine's client raises when the engine is away, overloaded or confused."""


class DockerLabSpawner(DockerSpawner):
    """Starts a workspace as a Docker container, and ensures the machines of its user's current labs.

    The two are independent: machines are made by their drivers, live on when the workspace stops, and
    one that cannot be had does not keep anybody from the notebook. Nothing about machines is kept in
    the spawner's state: the infrastructure is asked.
    """

    room_id = Unicode(config=True, help="Six hex digits in the name of everything this installation makes.")

    secret = Bytes(config=True, help="The installation's secret, from which keys are derived.")

    courses = Unicode(config=True, help="The folder that holds the course folders.")

    clouds = Unicode(config=True, help="The clouds.yaml of the cloud whose servers are machines.")

    roles_of = CallableTrait(
        lambda _name: {},
        config=True,
        help="""
        A function from a user's name to what the user is in which course, such as
        `{"linux-intro": "student"}`; "ta" and "instructor" are the other roles. It may block.
        """,
    )

    service_url = Unicode(config=True, help="Where workspaces reach the Machineroom service.")

    extra_host_config = Dict(
        config=True,
        help="""
        Settings of the workspace's container beside and before our own, which drop all capabilities,
        forbid new privileges and bound processes and logs; see `HOST_CONFIG` in `workspace.py`.
        """,
    )

    extra_create_kwargs = Dict(config=True, help="Arguments of the engine's create call, beside our own.")

    machine_patience = 60
    """Seconds for which a start waits for machines after the notebook is ready; they go on without it."""

    _executor: ClassVar[ThreadPoolExecutor] = ThreadPoolExecutor(16, thread_name_prefix="engine")
    """Calls to the engine; one thread for all, as in DockerSpawner, would let one stop delay every start."""

    _machine_executor: ClassVar[ThreadPoolExecutor] = ThreadPoolExecutor(16, thread_name_prefix="machines")
    """Machines being made: each takes seconds, and must not take the threads of polls."""

    _turns: ClassVar[Turns] = Turns(1 + (os.cpu_count() or 1))
    """A start is seconds of CPU: more at once only make all of them late, and none of them sooner."""

    _drivers: ClassVar[dict[str, Driver]] = {}

    @default("image")
    def _image(self) -> str:
        return image(self.room_id, "workspace")

    @default("pull_policy")
    def _pull_policy(self) -> str:
        return "never"

    @default("remove")
    def _remove(self) -> bool:
        return True

    @default("cmd")
    def _cmd(self) -> list[str]:
        return ["machineroom-workspace"]

    @default("default_url")
    def _default_url(self) -> str:
        return "/lab"

    @default("mem_limit")
    def _mem_limit(self) -> int:
        return 1 << 30

    @default("cpu_limit")
    def _cpu_limit(self) -> float:
        return 2.0

    @default("start_timeout")
    def _start_timeout(self) -> int:
        return (
            3600  # with the time in the queue, which nobody is thrown out of; `http_timeout` is the server's
        )

    @default("http_timeout")
    def _http_timeout(self) -> int:
        return 120

    def _object_name_default(self) -> str:
        return f"mr-{self.room_id}-w-{slug(self.user.name)}"

    @property
    def home_volume(self) -> str:
        """The volume that holds the user's home."""
        return f"mr-{self.room_id}-home-{slug(self.user.name)}"

    @property
    def labels(self) -> dict[str, str]:
        """How everything that belongs to this workspace is recognised."""
        return {"machineroom.room": self.room_id, "machineroom.owner": self.user.name}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._steps = Steps()
        self._seats: list[Seat] = []
        self._specs: list[MachineSpec] = []
        self._problems: list[str] = []

    # What the hub calls

    async def start(self) -> tuple[str, int]:
        """Start the workspace, and beside it the machines; the address of the notebook server."""
        self._problems = []
        self._seats, self._specs = await self._in_thread(self._read_courses)
        self._steps.begin("workspace", *(str(spec.ref) for spec in self._specs))
        machines: list[asyncio.Task[None]] = []
        try:
            await self._discard(grace=5)  # a hub that was killed may have left one
            async with self._turns.turn(self._say_place):
                machines += [asyncio.create_task(self._ensure(spec)) for spec in self._specs]
                address = await self._start_workspace()
            await self._wait_for(machines)
        except BaseException as error:
            # cancelled at start_timeout, too: what threads still make is found by its name next time
            for machine in machines:
                machine.cancel()
            if isinstance(error, asyncio.CancelledError):  # the hub itself says nothing then
                text = f"Broken off: it was stopped, or took more than {self.start_timeout} s. Try again."
                self._steps.say("workspace", 0, text)
            with suppress(*NOT_ANSWERING):
                await asyncio.shield(self._discard())
            if isinstance(error, NOT_ANSWERING):
                self.log.error("%s cannot be started: %s", self.object_name, error)
                raise SpawnException(
                    "The container engine did not do its part. Try again in a minute; if it happens again, "
                    "an operator finds out what is wrong with: ./machineroom doctor",
                    reason="engine",
                    status_code=503,
                ) from error
            raise
        return address

    async def stop(self, now: bool = False) -> None:
        """Stop and remove the workspace's container; home and machines stay as they are."""
        await self._discard(grace=0 if now else 10)
        self.clear_state()

    async def poll(self) -> int | str | None:
        """None while the container runs, or while the engine cannot say: an answer that fails is no death."""
        try:
            return await super().poll()
        except NOT_ANSWERING as error:
            self.log.warning("The engine cannot say whether %s runs: %s", self.object_name, error)
            return None

    async def get_url(self) -> str:
        """Where the container says it is: a hub that was killed during the start has never heard of it."""
        try:
            ip, port = await self.get_ip_and_port()
        except NOT_ANSWERING:
            return str(await super().get_url())
        return f"http://{ip}:{port}{self.server.base_url}"

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """The steps of the start, as they happen."""
        async for event in self._steps:
            yield event

    async def delete_forever(self) -> None:
        """The user is gone for good: remove the home and every machine."""
        await self._discard(grace=0)
        networks = self._networks_driver()
        for driver in await self._in_thread(self._all_drivers):
            for machine in await self._in_thread(driver.machines, self.user.name):
                await self._in_thread(driver.delete, machine.ref)
        await self._in_thread(networks.release_networks, self.user.name)
        with suppress(docker.errors.NotFound):
            await self.docker("remove_volume", self.home_volume)

    # The workspace

    def _say_place(self, place: int, seconds: float | None) -> None:
        self._steps.say("workspace", 5, f"Many are starting just now: {in_words(place, seconds)}")

    async def _start_workspace(self) -> tuple[str, int]:
        name = "workspace"
        self._steps.say(name, 10, "Making your workspace")
        await self._make_home()
        try:
            ip, port = await super().start()
        except docker.errors.ImageNotFound:
            raise SpawnException(
                f"The workspace's image {self.image} is not there. "
                "An operator makes it with: ./machineroom image build workspace",
                reason="image",
                status_code=500,
            ) from None
        self._steps.say(name, 50, "Starting your notebook")
        try:
            async with asyncio.timeout(self.http_timeout):
                await self._answers(f"http://{ip}:{port}{self.server.base_url}api")
        except TimeoutError:
            raise SpawnException(
                f"Your notebook server did not answer within {self.http_timeout} s. Try again in a minute; "
                "if it happens again, an operator finds out what is wrong with: ./machineroom doctor",
                reason="timeout",
                status_code=504,
            ) from None
        self._steps.say(name, 100, "Your notebook is ready")
        return ip, port

    async def _make_home(self) -> None:
        """The home volume with our labels, and course folders that graders can write to."""
        await self.docker("create_volume", self.home_volume, labels=self.labels)
        folders = [seat.course.folder for seat in self._seats if seat.grader]
        if folders:
            uid = workspace.host_uid(await self.docker("info"))
            for folder in folders:
                await self._in_thread(give, folder, uid)

    @property
    def volume_binds(self) -> dict[str, Any]:
        """The home and the graders' course folders, beside what is configured."""
        return {**super().volume_binds, **workspace.binds(self.home_volume, self._seats)}

    async def create_object(self) -> dict[str, Any]:
        """Create the container with our files in it and a leg on each of the user's networks."""
        self.extra_host_config = {
            **workspace.HOST_CONFIG,
            "memswap_limit": self.mem_limit,
            **self.extra_host_config,
        }
        self.extra_create_kwargs = {**self.extra_create_kwargs, "labels": self.labels}
        created = await super().create_object()
        files = workspace.files(self.user.name, self.service_url, self._seats, self.secret)
        await self.docker("put_archive", created["Id"], "/", files)
        await self._join()
        return created

    async def get_object(self) -> dict[str, Any] | None:
        """The container as the engine sees it, None when it is not there; raises when that cannot be said."""
        try:
            found = await self.docker("inspect_container", self.object_name)
        except docker.errors.NotFound:
            self.object_id = ""
            return None
        self.object_id = found["Id"]
        return found

    async def _answers(self, url: str) -> None:
        """Wait until the notebook server answers, looking often: the hub itself backs off to seconds."""
        client = AsyncHTTPClient()
        while True:
            for _ in range(10):
                try:
                    await client.fetch(url, request_timeout=5, raise_error=False)
                    return
                except (OSError, HTTPClientError):
                    await asyncio.sleep(0.1)
            if await self.poll() is not None:
                log = await self.docker("logs", self.object_name, tail=30)
                self.log.error("%s ended while starting:\n%s", self.object_name, log.decode(errors="replace"))
                raise SpawnException(
                    "Your notebook server ended while it was starting. Try again; if it happens again, "
                    f"an operator finds the reason in the hub's log, at {self.object_name}.",
                    reason="ended",
                    status_code=500,
                )

    async def _discard(self, grace: int = 10) -> None:
        """Stop and remove the container, whatever state it is in."""
        try:
            await self.docker("stop", self.object_name, timeout=grace)
            await self.docker("remove_container", self.object_name, v=True, force=True)
        except docker.errors.NotFound:
            pass
        except docker.errors.APIError as error:
            if error.status_code != 409:  # somebody removes it already
                raise
        self.object_id = ""

    # Machines

    def _read_courses(self) -> tuple[list[Seat], list[MachineSpec]]:
        """The user's places in courses, and the machines that shall be there when the user arrives."""
        seats: list[Seat] = []
        specs: list[MachineSpec] = []
        for course_id, role in self.roles_of(self.user.name).items():
            try:
                seat = Seat(read_course(Path(self.courses) / course_id), role)
                lab = workspace.first_lab(seat.course)
                if lab and not seat.grader:
                    specs += lab_specs(seat.course, lab, self.user.name, self.secret)
            except ContentError as error:
                self.log.error("Course %s of %s cannot be read: %s", course_id, self.user.name, error)
                self._problems.append(f"Course {course_id} cannot be read; its instructor has to mend it.")
                continue
            seats.append(seat)
        return seats, specs

    async def _ensure(self, spec: MachineSpec) -> None:
        """Have a machine made, started or resumed; its failure is told, and keeps nobody from a notebook."""
        name, part, loop = spec.ref.machine, str(spec.ref), asyncio.get_running_loop()

        def progress(percent: int, message: str) -> None:
            if not loop.is_closed():  # the hub may end before the machine is done
                loop.call_soon_threadsafe(self._steps.say, part, percent, message)

        try:
            driver = await self._in_thread(self._driver, spec.driver)
            machine = await loop.run_in_executor(self._machine_executor, driver.ensure, spec, progress)
        except Exception as error:
            if isinstance(error, MachineError):
                self.log.error("Machine %s: %s", spec.ref, error)
                reason = str(error)
            else:
                self.log.exception("Machine %s", spec.ref)
                reason = "Try again later; an operator finds the reason in the hub's log."
            text = f"Machine {name} ({spec.ref.course}, {spec.ref.lab}) could not be started. {reason}"
            self._problems.append(text)
            self._steps.say(part, 100, f"{text} Your notebook starts all the same.")
        else:
            if machine.state is State.BROKEN:
                self._problems.append(
                    f"Machine {name} ({spec.ref.course}, {spec.ref.lab}) is broken. Reset it."
                )

    async def _wait_for(self, machines: list[asyncio.Task[None]]) -> None:
        """Give the machines some time, join their networks, and leave word of what is missing."""
        if machines:
            await asyncio.wait(machines, timeout=self.machine_patience)
        for spec, machine in zip(self._specs, machines, strict=True):
            if not machine.done():
                name = spec.ref.machine
                self._problems.append(f"Machine {name} is still being made; it will be there shortly.")
        await self._introduce()
        if self._problems:
            problems = workspace.problems_file(self._problems)
            await self.docker("put_archive", self.object_name, "/", problems)

    async def _introduce(self) -> None:
        """Have the workspace know machines by name that no network of its tells it of."""
        for name in workspace.drivers(self._seats) - {"docker"}:
            driver = await self._in_thread(self._driver, name)
            known = asyncio.get_running_loop().run_in_executor(
                self._machine_executor, driver.introduce, self.user.name
            )
            try:
                await asyncio.wait_for(asyncio.shield(known), self.machine_patience)
            except (MachineError, TimeoutError) as error:
                self.log.error("%s: %s", self.object_name, error)
                self._problems.append(str(error) or "The cloud does not answer; what runs there goes on.")

    async def _join(self) -> None:
        """Give the workspace a leg on every network of its user; without any it works, but for machines."""
        try:
            await self._in_thread(self._networks_driver().join, self.user.name, self.object_name)
        except MachineError as error:
            self.log.error("%s: %s", self.object_name, error)
            self._problems.append(str(error))

    def _networks_driver(self) -> DockerDriver:
        """The driver that makes the networks on which this container stands."""
        driver = self._driver("docker")
        assert isinstance(driver, DockerDriver)
        return driver

    def _driver(self, name: str) -> Driver:
        """The driver `name`; one for all users, as it keeps nothing about any. It may block."""
        if name not in self._drivers:
            settings = {"config": self.config} if name == "docker" else {}
            self._drivers[name] = make_driver(
                name, self.room_id, secret=self.secret, clouds=Path(self.clouds), **settings
            )
        return self._drivers[name]

    def _all_drivers(self) -> list[Driver]:
        """The drivers of which the user may have machines. It may block."""
        return [self._driver("docker"), *([self._driver("openstack")] if Path(self.clouds).is_file() else [])]

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.executor, partial(function, *args))

    @property
    def executor(self) -> ThreadPoolExecutor:
        """The threads for calls to the engine."""
        return self._executor
