"""Checks run by real pytest in the real fork server: verdicts, points, evidence and words."""

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from machineroom_checks.runner import CheckRunner, ChecksError

from .conftest import Result, Shell

Checks = Callable[..., list[dict[str, Any]]]


def test_report_has_the_agreed_shape(runner: CheckRunner, tmp_path: Path) -> None:
    (tmp_path / "test_notes.py").write_text(
        "import pytest\n"
        'pytestmark = pytest.mark.task("notes", title="Take notes")\n'
        "@pytest.mark.points(2)\n"
        '@pytest.mark.hint("Look at chmod.")\n'
        "def test_mode(machine):\n"
        '    """Only root may write to it."""\n'
        '    assert machine.file("/etc/passwd").mode == 0o600\n'
        'def test_there(machines): assert machines["db"].file("/etc/passwd").exists\n'
        'def test_other(machine): assert machine.file("/nowhere").exists\n'
    )
    (report,) = runner.run(tmp_path, ["notes"], {"web": Shell, "db": Shell}, "web", addresses={})
    evidence = report["checks"][0].pop("evidence")
    seconds = report["checks"][0].pop("seconds")
    assert report["checks"][0] == {
        "name": "test_mode",
        "title": "Only root may write to it",
        "points": 2,
        "earned": 0,
        "outcome": "failed",
        "observed": "file /etc/passwd: mode 0644",
        "hint": "Look at chmod.",
    }
    assert (report["task"], report["title"], report["machine"]) == ("notes", "Take notes", "web")
    assert (report["points"], report["earned"]) == (4, 1)
    assert [c["outcome"] for c in report["checks"]] == ["failed", "passed", "failed"]
    assert 0 < seconds < 2
    assert evidence[-1]["stdout"] == "644\n"
    assert evidence[-1].keys() == {"machine", "command", "rc", "stdout", "stderr", "seconds", "trust"}
    assert report["checks"][1]["evidence"][-1]["machine"] == "db"


@pytest.mark.parametrize(
    ("code", "observed"),
    [
        ('f = machine.file("/etc"); assert f.exists and f.is_file', "file /etc: exists, not a regular file"),
        ('assert machine.file("/no").mode == 1', "file /no: could not be read (No such file or directory)"),
        (
            'assert machine.file("/no").content_string',
            "file /no: could not be read (No such file or directory)",
        ),
        (
            'assert machine.file("/etc/passwd").contains("S3CRET")',
            "file /etc/passwd: not with what is asked for in it",
        ),
        ('assert machine.user("root").uid == 77', "user root: uid 0"),
        (
            'assert machine.run("id root").rc == 7',
            "`id root`: printed 'uid=0(root) gid=0(root) groups=0(root)' and exited 0",
        ),
        (
            'assert machine.run("grep -q S3CRET /etc/passwd").rc == 0',
            "a command that looks at it: printed nothing and exited 1",
        ),
        ('assert machine.exists("no-such-program")', "command no-such-program: does not exist"),
        ('assert machine.check_output("false")', "a command that looks at it: printed nothing and exited 1"),
        ('assert "S3CRET" == "x"', "Not as asked."),
        ('assert "S3CRET" == "x", "the word is another"', "the word is another"),
        ('pytest.fail("the word is another")', "the word is another"),
        (
            's.run("sleep 9") if s is None else None; assert s.run("hostname").failed, f"it is {1 + 1}"',
            "it is 2",
        ),
        (
            'import urllib.request as u; u.urlopen("http://127.0.0.1:1/")',
            "a request to the machine failed: Connection refused",
        ),
        (
            'import requests; requests.get("http://127.0.0.1:1/")',
            "a request to the machine failed: Connection refused",
        ),
    ],
)
def test_student_reads_what_was_seen_and_not_what_was_expected(
    checks: Checks, code: str, observed: str
) -> None:
    (check,) = checks(f"import pytest\ndef test_x(machine, s):\n    {code}\n")
    assert (check["outcome"], check["observed"]) == ("failed", observed)
    assert "S3CRET" not in check["observed"] + check["title"]


def test_a_command_without_end_is_stopped_and_said(checks: Checks) -> None:
    (check,) = checks('def test_x(machine): assert machine.run("sleep 60", timeout=0.2).rc == 0')
    assert check["observed"] == "a command that looks at it: did not end in time; printed nothing"


def test_mistakes_of_the_author_are_errors_and_their_traceback_is_for_graders(checks: Checks) -> None:
    broken, skipped, machine = checks(
        """
        import pytest
        def test_broken(): {}["S3CRET"]
        def test_skipped(): pytest.skip("not today")
        def test_machine(machines): machines["mail"]
        """
    )
    assert broken["outcome"] == skipped["outcome"] == machine["outcome"] == "error"
    assert (
        broken["observed"] == "This check has a mistake (KeyError), which is not yours. Tell your instructor."
    )
    assert "S3CRET" in broken["evidence"][0]["stderr"]
    assert skipped["observed"] == "this check was skipped: not today"
    assert "this lab has no machine 'mail'; it has: web, db" in machine["evidence"][0]["stderr"]


def test_broken_set_up_counts_against_its_check_only(checks: Checks) -> None:
    outcomes = checks(
        """
        import pytest
        @pytest.fixture
        def table(): raise OSError
        def test_one(table): pass
        def test_two(): pass
        """
    )
    assert [c["outcome"] for c in outcomes] == ["error", "passed"]


def test_helpers_conftest_and_data_lie_beside_the_checks(checks: Checks, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import pytest\n@pytest.fixture\ndef five(): return 5\n")
    (tmp_path / "data.txt").write_text("5")
    (check,) = checks(
        "from pathlib import Path\n"
        "def test_x(five): assert five == int((Path(__file__).parent / 'data.txt').read_text())\n"
    )
    assert check["outcome"] == "passed"


def test_variants_are_checks_of_their_own(checks: Checks) -> None:
    found = checks(
        """
        import pytest
        @pytest.mark.points(0.5)
        @pytest.mark.parametrize("user", ["root", "ada"])
        def test_user_exists(machine, user): assert machine.user(user).exists
        """
    )
    assert [(c["title"], c["earned"]) for c in found] == [
        ("User exists (root)", 0.5),
        ("User exists (ada)", 0),
    ]


def test_machine_that_is_gone_is_an_error_that_says_so(runner: CheckRunner, tmp_path: Path) -> None:
    def gone() -> Shell:
        raise RuntimeError("ada/course/first/web does not exist; reset it.")

    (tmp_path / "test_it.py").write_text("def test_x(machine): machine.run('true')\ndef test_y(): pass\n")
    (report,) = runner.run(tmp_path, None, {"web": gone}, "web", addresses={})
    first, second = report["checks"]
    assert first["outcome"] == "error"
    assert first["observed"] == (
        "The machine web cannot be reached: ada/course/first/web does not exist; reset it."
    )
    assert second["outcome"] == "passed"


def test_sessions_are_opened_once_and_closed(runner: CheckRunner, tmp_path: Path) -> None:
    opened: list[Shell] = []

    def open_session() -> Shell:
        opened.append(Shell())
        return opened[-1]

    (tmp_path / "test_it.py").write_text(
        "import os\ndef test_x(s): s.run('true')\n"
        "def test_dies(): os._exit(0)\ndef test_z(s): s.run('true')\n"
    )
    runner.run(tmp_path, None, {"web": open_session, "db": open_session}, "web", addresses={})
    assert [(s.commands, s.closed) for s in opened] == [(["true", "true"], True)]


def test_collect_lists_the_tasks(runner: CheckRunner, tmp_path: Path) -> None:
    (tmp_path / "test_hello_llama.py").write_text(
        "import pytest\ndef test_a(): pass\n"
        "@pytest.mark.points(2.5)\n@pytest.mark.hint('h')\ndef test_b(): pass\n"
    )
    assert runner.collect(tmp_path) == [
        {
            "task": "hello-llama",
            "title": "Hello llama",
            "points": 3.5,
            "hints": ["h"],
            "checks": ["test_a", "test_b"],
            "changes": [],
        }
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def test_a(:\n", "test_it.py: "),
        ("import pytest\n@pytest.mark.points(-1)\ndef test_a(): pass\n", "points(-1): write a number"),
        (
            "import pytest\n@pytest.mark.points('two')\ndef test_a(): pass\n",
            "write a number, and nothing else",
        ),
        ("import pytest\n@pytest.mark.task\ndef test_a(): pass\n", "write the task's name, and nothing else"),
        ("import nothing_like_it\ndef test_a(): pass\n", "No module named 'nothing_like_it'"),
        ("", None),
    ],
)
def test_collect_tells_the_author_what_is_wrong(
    runner: CheckRunner, tmp_path: Path, text: str, says: str | None
) -> None:
    (tmp_path / "test_it.py").write_text(text)
    if says is None:
        assert runner.collect(tmp_path) == []
        return
    with pytest.raises(ChecksError) as raised:
        runner.collect(tmp_path)
    assert says in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_one_broken_file_makes_an_error_for_every_task(checks: Checks, tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text("1/0\n")
    good, broken = checks("def test_a(): pass")
    assert (good["outcome"], broken["outcome"]) == ("passed", "error")
    assert "ZeroDivisionError" in broken["evidence"][0]["stderr"]


def test_unknown_task_and_empty_folder_are_said(runner: CheckRunner, tmp_path: Path) -> None:
    with pytest.raises(ChecksError, match="there are no checks"):
        runner.run(tmp_path, None, {}, "", addresses={})
    (tmp_path / "test_it.py").write_text("def test_a(): pass\n")
    with pytest.raises(ChecksError, match=r"There is no task 'nope' in .*; its tasks are: it\."):
        runner.run(tmp_path, ["nope"], {}, "", addresses={})


def test_script_in_root_n_rolls_form(checks: Checks, tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    answer.write_text("42\n")
    found = checks(
        f"""
        import urllib.request
        ANSWER = "{answer}"

        def test_connection(s):
            assert s.run('true').succeeded, "Could not connect to server"

        def test_django_installed(s):
            assert s.run('python3 -c "import no_django_here"').succeeded, "Django is not installed"

        def test_answer(s):
            content = s.run('cat ' + ANSWER)
            assert content == '42', "Another answer"
            assert '4' in content and content.rc == content.return_code == 0 and content.stderr == ''

        def test_address(s):
            try:
                urllib.request.urlopen("http://" + s.ip + ":1/")
            except Exception as e:
                assert False, str(e)
        """
    )
    assert [c["outcome"] for c in found] == ["passed", "failed", "passed", "failed"]
    assert found[1]["observed"] == "Django is not installed"
    assert "Connection refused" in found[3]["observed"]


def test_ten_checks_take_less_than_half_a_second(runner: CheckRunner, tmp_path: Path) -> None:
    class Instant(Shell):
        def run(self, command: str, *, timeout: float = 15.0, limit: int = 1 << 20) -> Any:
            return Result(0, b"Linux\n", b"", 0.0)

    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.parametrize('n', range(10))\n"
        "def test_x(machine, n): assert machine.file('/etc').exists and machine.run('true').rc == 0\n"
    )
    runner.collect(tmp_path)
    took = []
    for _ in range(5):
        began = time.monotonic()
        (report,) = runner.run(tmp_path, None, {"web": Instant}, "web", addresses={})
        took.append(time.monotonic() - began)
        assert report["earned"] == 10
    assert min(took) < 0.5


def test_many_threads_at_once(runner: CheckRunner, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_x(machine): assert machine.run('echo $WHO').stdout == 'a'\n"
    )
    earned: dict[int, float] = {}

    def run(number: int) -> None:
        class Own(Shell):
            def run(self, command: str, **options: Any) -> Any:
                return super().run(f"printf {'a' if number % 2 else 'b'}", **options)

        earned[number] = runner.run(tmp_path, None, {"web": Own}, "web", addresses={})[0]["earned"]

    threads = [threading.Thread(target=run, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert earned == {n: n % 2 for n in range(12)}
    assert math.isclose(sum(earned.values()), 6)
