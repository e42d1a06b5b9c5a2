"""Submitted code in its container: it runs as in any kernel, and whatever it tries stays in there."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import nbformat
import pytest
from archives import archive
from classroom import Classroom
from machineroom_nbgrader.apart import ExecuteApart
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.preprocessors import Execute
from nbgrader_people import COURSE, Person, marks

Answer = dict[str, Any]


def order(*notebooks: list[str], **wanted: Any) -> bytes:
    """The body of a request to execute notebooks of these cells."""
    named = [{"name": f"n{number}", "cells": cells} for number, cells in enumerate(notebooks)]
    whole = {"assignment": "ps1", "student": "eve", "environment": {"USER": "eve"}, "notebooks": named}
    files = archive({"data.txt": "some data\n"})
    return archive({"execution.json": json.dumps({**whole, **wanted}), "files.tar.gz": files})


@pytest.fixture
def execute(school: Classroom) -> Callable[..., Answer]:
    """`execute(["1 + 1"])` is the last line that the service answers a grader."""

    def run(*notebooks: list[str], **wanted: Any) -> Answer:
        reply = school["ines"].post(f"courses/{COURSE}/executions", content=order(*notebooks, **wanted))
        assert reply.status_code == 200, reply.text
        answer: Answer = json.loads(reply.text.splitlines()[-1])
        return answer

    return run


def text_of(cell: Answer) -> str:
    """What a cell printed, and what its value and its error were."""
    said = []
    for message in cell["messages"]:
        content = message["content"]
        said += [
            content.get("text", ""),
            content.get("data", {}).get("text/plain", ""),
            content.get("evalue", ""),
        ]
    return "".join(said)


def executions(engine: docker.DockerClient, school: Classroom) -> list[Any]:
    labels = [f"machineroom.room={school.room.id}", "machineroom.execution=1"]
    return engine.containers.list(all=True, filters={"label": labels}, ignore_removed=True)


def processes(container: Any) -> int:
    """How many processes run in a container; 0 when it has ended."""
    try:
        return len(container.top()["Processes"])
    except docker.errors.APIError:
        return 0


CELLS = [
    "print('out'); import sys; print('err', file=sys.stderr); 40 + 2",
    "from IPython.display import display, HTML, clear_output\nd = display(HTML('<b>1</b>'), display_id='x')",
    "display(HTML('<b>2</b>'), display_id='x', update=True)",
    "print('gone'); clear_output(); print('stays')",
    "1 / 0",
    "import subprocess; subprocess.run(['echo', 'from outside'], check=True).returncode",
    "!echo shell",
    "import asyncio; await asyncio.sleep(0.01); 'awaited'",
    "input()",
    "%%bash\necho magic",
    "import ipywidgets; slider = ipywidgets.IntSlider(value=3); slider",
    "open('data.txt').read(), len(Out), 'IPKernelApp' in get_ipython().config",
]


def outputs(nb: nbformat.NotebookNode) -> list[Any]:
    """What must not differ between two kernels; tracebacks and ids do."""
    found = []
    for cell in nb.cells:
        shown: list[Any] = [cell.execution_count]
        for output in cell.outputs:
            if output.output_type == "stream":
                shown.append((output.name, output.text))
            elif output.output_type == "error":
                shown.append((output.ename, output.evalue))
            else:
                shown.append((output.output_type, sorted(output.data), output.data.get("text/plain")))
        found.append(shown)
    return found


def test_outputs_are_those_of_a_kernel_of_nbgraders_own(
    execute: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with it, ipykernel leaves alone what programs print
    answer = execute(CELLS)["done"]["notebooks"]

    class Apart(ExecuteApart):
        def executed(self, notebook: str) -> Answer:
            return answer[notebook]

    (tmp_path / "data.txt").write_text("some data\n")
    nb = new_notebook(cells=[new_code_cell(source) for source in CELLS])
    resources: Any = {"metadata": {"path": str(tmp_path)}, "nbgrader": {"notebook": "n0"}}
    stock, _ = Execute(kernel_name="python3").preprocess(nbformat.from_dict(nb), resources)
    ours, _ = Apart().preprocess(nbformat.from_dict(nb), resources)
    assert outputs(ours) == outputs(stock)
    assert ours.metadata.language_info.name == "python"
    assert len(ours.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]) == 3


SNOOP = """
import glob, os, socket, urllib.request
def attempt(what):
    try:
        return what()
    except BaseException as error:
        return f"refused {type(error).__name__}"
print("ENVIRONMENT", sorted(os.environ.items()))
print("PROCESSES", [open(f"{p}/cmdline").read().replace("\\0", " ") for p in glob.glob("/proc/[0-9]*")])
print("ENVIRONS", [attempt(lambda: open(f"{p}/environ").read()) for p in glob.glob("/proc/[0-9]*")])
print("CARDS", os.listdir("/sys/class/net"))
print("GATEWAY", attempt(lambda: socket.create_connection(("172.17.0.1", 80), 2)))
print("NAMES", attempt(lambda: socket.gethostbyname("debian.org")))
print("ROOT", [attempt(lambda: open(f"{p}/x", "w")) for p in ("/", "/usr", "/etc", "/opt/machineroom")])
print("HERE", open("here", "w").write("x"), sorted(os.listdir(".")))
print("ETC", attempt(lambda: os.listdir("/etc/machineroom")))
print("UID", os.getuid(), open("/proc/self/status").read())
"""

HUNT = """
import os, re
needle = bytes(reversed(b"tset-neddih-a-fo-rekram"))
seen = []
for process in set(filter(str.isdigit, os.listdir("/proc"))) - {str(os.getpid())}:
    with open(f"/proc/{process}/maps") as maps, open(f"/proc/{process}/mem", "rb") as memory:
        for line in maps:
            low, high = (int(x, 16) for x in re.match(r"(\\w+)-(\\w+)", line).groups())
            if " rw" in line:
                memory.seek(low)
                seen += [process] if needle in memory.read(high - low) else []
for folder, _, names in os.walk("/home"):
    seen += [n for n in names if needle in open(os.path.join(folder, n), "rb").read()]
print("SEEN", seen)
"""


class TestWhatCodeReaches:
    def test_nothing_of_anybody(self, execute: Callable[..., Answer], school: Classroom) -> None:
        answer = execute([SNOOP])["done"]["notebooks"]["n0"]
        said = text_of(answer["cells"][0])
        assert answer["problem"] is None, said
        assert "TOKEN" not in said
        assert "machineroom_nbgrader.inside" in said
        assert "jupyterhub" not in said.lower()
        assert "CARDS ['lo']" in said
        assert "GATEWAY refused OSError" in said
        assert "NAMES refused gaierror" in said
        assert "ROOT ['refused OSError', 'refused OSError', 'refused OSError', 'refused OSError']" in said
        assert "HERE 1 ['data.txt', 'here']" in said
        assert "ETC refused FileNotFoundError" in said
        assert "UID 1000" in said
        for capabilities in ("CapEff", "CapBnd", "CapInh", "CapAmb"):
            assert f"{capabilities}:\t0000000000000000" in said
        assert "NoNewPrivs:\t1" in said
        assert school.token("ines") not in said

    def test_no_test_before_it_runs(self, execute: Callable[..., Answer]) -> None:
        tests = "assert 1 == 1  # marker-of-a-hidden-test"
        (first,) = execute([HUNT, tests])["done"]["notebooks"].values()
        assert text_of(first["cells"][0]) == "SEEN []\n"
        planted = "open('planted', 'w').write('marker' + '-of-a-hidden-test')"
        (first,) = execute([planted, HUNT])["done"]["notebooks"].values()
        assert text_of(first["cells"][1]) == "SEEN ['planted']\n"

    def test_the_network_where_the_assignment_asks(self, execute: Callable[..., Answer]) -> None:
        cards = "import os; sorted(os.listdir('/sys/class/net'))"
        answer = execute([cards], assignment="online")["done"]["notebooks"]["n0"]
        assert "['eth0', 'lo']" in text_of(answer["cells"][0])


ATTACKS: dict[str, tuple[str, Answer]] = {
    "bomb": ("import os\nwhile True: os.fork()", {}),
    "memory": ("x = []\nwhile True: x.append(bytearray(10_000_000))", {"timeout": 60}),
    "flood": ("while True: print('x' * 100_000)", {}),
    "endless": ("while True: pass", {}),
    "stubborn": ("while True:\n  try:\n    while True: pass\n  except KeyboardInterrupt: pass", {}),
    "suicide": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", {}),
    "parricide": ("import os, signal; os.kill(os.getppid(), signal.SIGKILL)", {}),
    "exit": ("import os; os._exit(0)", {}),
    "garbage": (
        "import os\nfor fd in range(3, 20):\n  try: os.write(fd, b'nonsense\\n')\n  except OSError: pass",
        {},
    ),
    "files": ("open('big', 'wb').write(bytes(1 << 30))", {"timeout": 60}),
    "displays": (
        "from IPython.display import display, HTML\nwhile True: display(HTML('x' * 5_000_000))",
        {"timeout": 60},
    ),
    "minutes": ("import time; time.sleep(600)", {"assignment": "short", "timeout": 500}),
}


@pytest.fixture(scope="module")
def ended(school: Classroom) -> dict[str, Answer]:
    """What became of a notebook whose second cell is an attack, and of one after it."""

    def attack(name: str) -> Answer:
        source, wanted = ATTACKS[name]
        body = order(["before = 1", source, "before + 1"], ["'another notebook'"], **{"timeout": 3, **wanted})
        with school.client(school.token("ines")) as client:
            reply = client.post(f"courses/{COURSE}/executions", content=body, timeout=200)
        answer: Answer = json.loads(reply.text.splitlines()[-1])
        return answer

    with ThreadPoolExecutor(len(ATTACKS)) as threads:
        return dict(zip(ATTACKS, threads.map(attack, ATTACKS), strict=True))


class TestWhatCodeTakes:
    """Each of these does harm in every installation that has no limit for it. All run at once."""

    @pytest.mark.parametrize("attack", ["endless", "flood"])
    def test_a_cell_that_does_not_end_has_failed_and_the_next_one_runs(
        self, ended: dict[str, Answer], attack: str
    ) -> None:
        first, *second = ended[attack]["done"]["notebooks"].values()
        assert first["problem"] is None
        assert first["cells"][1]["timed_out"]
        assert text_of(first["cells"][2]) == "2"
        assert "another notebook" in text_of(second[0]["cells"][0])

    def test_a_flood_is_cut(self, ended: dict[str, Answer]) -> None:
        said = text_of(ended["flood"]["done"]["notebooks"]["n0"]["cells"][1])
        assert len(said) < 3_000_000
        assert "... Output truncated ..." in said

    @pytest.mark.parametrize(
        ("attack", "kind", "why"),
        [
            ("memory", "died", "512 MB of memory"),
            ("stubborn", "late", "though it was interrupted"),
            ("suicide", "died", "it was killed"),
            ("parricide", "died", "its container ended"),
            ("exit", "died", "it ended itself with status 0"),
            ("garbage", "died", "no output of a kernel"),
            ("displays", "died", "more than 64 MB"),
            ("minutes", "late", "more than 0.2 minutes"),
        ],
    )
    def test_what_ended_it_is_said(self, ended: dict[str, Answer], attack: str, kind: str, why: str) -> None:
        notebooks = ended[attack]["done"]["notebooks"]
        assert list(notebooks) == ["n0"]
        problem = notebooks["n0"]["problem"]
        assert problem["kind"] == kind
        assert why in problem["why"]

    def test_files_have_an_end(self, ended: dict[str, Answer]) -> None:
        first = ended["files"]["done"]["notebooks"]["n0"]
        assert first["problem"] or "No space left" in text_of(first["cells"][1])

    def test_a_fork_bomb_is_over_with_its_container(
        self, ended: dict[str, Answer], school: Classroom, engine: docker.DockerClient
    ) -> None:
        assert "done" in ended["bomb"]
        deadline = time.monotonic() + 120
        while busy := [c for c in executions(engine, school) if processes(c) > 3]:
            assert time.monotonic() < deadline, busy
            time.sleep(0.5)


class TestWhoMayExecute:
    def test_students_and_strangers_may_not(self, school: Classroom) -> None:
        path = f"courses/{COURSE}/executions"
        assert school["ada"].post(path, content=order(["1"])).status_code == 403
        with school.client() as nobody:
            assert nobody.post(path, content=order(["1"])).status_code == 401

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"nothing", "not a whole gzipped tar"),
            (archive({"x": "y"}), "does not hold execution.json"),
            (archive({"execution.json": "{}", "files.tar.gz": b"x"}), "not a whole gzipped tar"),
            (
                archive({"execution.json": "{}", "files.tar.gz": archive({"x": ""})}),
                "assignment: Field required",
            ),
            (order(["1"], environment={"a=b": "c"}), "environment"),
            (order(), "notebooks"),
        ],
    )
    def test_what_is_no_order_is_refused_in_words(self, school: Classroom, body: bytes, said: str) -> None:
        reply = school["ines"].post(f"courses/{COURSE}/executions", content=body)
        assert reply.status_code == 422, reply.text
        assert said in reply.json()["detail"]


class TestEndedInTheMiddle:
    """`nbgrader autograde` of two submissions, one of which takes until the file `wait` is empty."""

    @pytest.fixture
    def slow(self, ines: Person) -> Iterator[Path]:
        """The folder of the submission that takes long."""
        cells = [
            new_code_cell("import time\ntime.sleep(float(open('wait').read()))"),
            new_code_cell("answer = 0", metadata=marks("answer", solution=True)),
            new_code_cell("assert answer == 1", metadata=marks("test", grade=True, locked=True, points=3)),
        ]
        source = ines.course / "source" / "slow"
        source.mkdir(parents=True, exist_ok=True)
        nb = new_notebook(cells=cells)
        nbformat.write(nb, source / "lab.ipynb")
        ines.nbgrader("generate_assignment", "slow", "--force")
        nb.cells[1].source = "answer = 1"
        for student, wait in (("fay", "0"), ("gus", "25")):
            folder = ines.course / "submitted" / student / "slow"
            folder.mkdir(parents=True, exist_ok=True)
            nbformat.write(nb, folder / "lab.ipynb")
            (folder / "wait").write_text(wait)
        yield ines.course / "submitted" / "gus" / "slow"
        ines.nbgrader("db", "assignment", "remove", "slow", "--force")
        for student in ("fay", "gus"):
            ines.nbgrader("db", "student", "remove", student, "--force")
            for part in ("submitted", "autograded"):
                shutil.rmtree(ines.course / part / student, ignore_errors=True)
        for part in ("source", "release"):
            shutil.rmtree(ines.course / part / "slow")

    def _until_it_waits(self, engine: docker.DockerClient, school: Classroom, ines: Person) -> Any:
        """Fay is graded and gus's container runs his code; it."""
        deadline = time.monotonic() + 120
        while True:
            for container in executions(engine, school):
                if processes(container) > 2 and self._graded(ines, "fay"):
                    return container
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def _graded(self, ines: Person, student: str) -> bool:
        folder = ines.course / "autograded" / student
        return (folder / "slow" / "lab.ipynb").exists() and not (folder / ".slow.unfinished").exists()

    def _second_run_completes(self, slow: Path, ines: Person) -> None:
        (slow / "wait").write_text("0")
        ines.nbgrader("autograde", "slow")
        for student in ("fay", "gus"):
            assert self._graded(ines, student)
            assert ines.scores(student, "slow") == {"test": 3}

    def test_a_container(
        self, slow: Path, engine: docker.DockerClient, school: Classroom, ines: Person
    ) -> None:
        with ThreadPoolExecutor(1) as threads:
            run = threads.submit(ines.nbgrader, "autograde", "slow", ok=False)
            self._until_it_waits(engine, school, ines).kill()
            said = run.result()
        assert "DeadKernelError: Kernel died: its container ended" in said
        assert "There was an error processing assignment 'slow' for student 'gus'" in said
        assert "2 of 2 submissions, 1 could not be graded" in said
        assert not (ines.course / "autograded" / "gus" / "slow").exists()
        self._second_run_completes(slow, ines)

    def test_the_service(
        self, slow: Path, engine: docker.DockerClient, school: Classroom, ines: Person
    ) -> None:
        with ThreadPoolExecutor(1) as threads:
            run = threads.submit(ines.nbgrader, "autograde", "slow", ok=False)
            container = self._until_it_waits(engine, school, ines)
            school.stop("service", signal.SIGKILL)
            said = run.result()
        school.start_service()
        assert "The Machineroom service at" in said
        assert "gus" in said
        assert container.id not in {other.id for other in executions(engine, school)}
        self._second_run_completes(slow, ines)

    def test_nbgrader_itself(
        self, slow: Path, engine: docker.DockerClient, school: Classroom, ines: Person
    ) -> None:
        command = [sys.executable, "-m", "nbgrader", "autograde", "slow"]
        with subprocess.Popen(command, cwd=ines.home, env=ines.env, stderr=subprocess.DEVNULL) as process:
            container = self._until_it_waits(engine, school, ines)
            process.kill()
        assert (ines.course / "autograded" / "gus" / ".slow.unfinished").exists()
        deadline = time.monotonic() + 60
        while container.id in {other.id for other in executions(engine, school)}:
            assert time.monotonic() < deadline, "nobody waits for it, and it goes on"
            time.sleep(0.2)
        self._second_run_completes(slow, ines)
