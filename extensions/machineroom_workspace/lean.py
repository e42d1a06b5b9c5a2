"""Imports without ballast: modules that are imported for a name, and hardly ever used in a workspace.

JupyterHub's single-user server imports the hub's database layer for the name of one handler, and
jsonschema a calendar for a format that none of Jupyter's schemas has. With SQLAlchemy, Alembic and
what these bring, that is half of a server's start and of its memory.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def stand_ins(modules: dict[str, dict[str, Any]]) -> Iterator[None]:
    """While this lasts, who imports one of these modules gets one that has only these names.

    Whoever has got it and asks it for another name later is given that of the real module, which is
    imported then.
    """
    put = {name: _stand_in(name, names) for name, names in modules.items() if name not in sys.modules}
    sys.modules.update(put)
    try:
        yield
    finally:
        for name in put:
            del sys.modules[name]


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """While this lasts, these modules are not installed, for who can do without them."""
    hidden: dict[str, Any] = {name: None for name in names if name not in sys.modules}
    sys.modules.update(hidden)
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _stand_in(name: str, names: dict[str, Any]) -> ModuleType:
    module = ModuleType(name, f"Stands in for {name}.")
    ask: Callable[[str], Any] = lambda wanted: _of_the_real(module, wanted)  # noqa: E731
    vars(module).update(names, __path__=[], __getattr__=ask)
    return module


def _of_the_real(module: ModuleType, wanted: str) -> Any:
    if sys.modules.get(module.__name__) is module or wanted.startswith("__"):
        raise AttributeError(f"{module.__name__} is not there yet, only its stand-in without {wanted}")
    return getattr(importlib.import_module(module.__name__), wanted)
