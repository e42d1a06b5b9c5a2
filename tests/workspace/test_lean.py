"""What a workspace's server imports, and that what it leaves out is there for who needs it."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from machineroom_workspace.lean import absent, stand_ins

EXTENSIONS = Path(__file__).parents[2] / "extensions"


def python(program: str) -> str:
    """What a program prints that is run in a fresh Python."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(EXTENSIONS)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_server_is_imported_without_what_it_never_uses() -> None:
    report = """
from machineroom_workspace.__main__ import server
run = server()
import json, sys
print(json.dumps([run.__module__, sorted({name.partition(".")[0] for name in sys.modules})]))
"""
    module, imported = json.loads(python(report))
    assert module.startswith("jupyterhub.singleuser") or module.startswith("jupyter_server")
    assert {"jupyterlab", "jupyter_server", "jupyterhub"} <= set(imported)
    assert not {"sqlalchemy", "alembic", "requests", "arrow", "rfc3987_syntax", "nbgrader"} & set(imported)


def test_what_was_left_out_is_there_for_who_needs_it_later() -> None:
    later = """
from machineroom_workspace.__main__ import server
server()
from jupyterhub import scopes
assert scopes.orm.User.__tablename__ == "users"  # had got a stand-in
import sqlalchemy, requests, nbgrader.api, jupyterhub.handlers.pages
from sqlalchemy import create_engine
create_engine("sqlite://").connect()
requests.Session()
assert scopes.orm.User is __import__("jupyterhub.orm").orm.User
"""
    python(later)


def test_a_stand_in_has_the_names_that_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy_module.py").write_text("name = 'real'\nother = 'real, too'\n")
    monkeypatch.syspath_prepend(tmp_path)
    with stand_ins({"heavy_module": {"name": "stands in"}}):
        stood_in = importlib.import_module("heavy_module")
        assert stood_in.name == "stands in"
        assert not hasattr(stood_in, "other")
    assert "heavy_module" not in sys.modules
    assert stood_in.other == "real, too"
    assert sys.modules.pop("heavy_module") is not stood_in


def test_what_is_absent_is_so_for_a_while_and_what_was_there_stays() -> None:
    with absent("json", "chunk_of_nothing"):
        assert json.loads("1") == 1
        import json as still  # noqa: F401

        with pytest.raises(ImportError):
            import chunk_of_nothing  # noqa: F401
    assert "chunk_of_nothing" not in sys.modules
    assert sys.modules["json"] is json
