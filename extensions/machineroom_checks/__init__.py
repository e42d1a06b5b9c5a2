"""Checks: whether a machine is as a task asks. In a notebook: `from machineroom_checks import check, on`.

What a notebook imports is light: the runner, with pytest and testinfra, is `machineroom_checks.runner`.
"""

from .notebook import check
from .remote import load_ipython_extension, on

__all__ = ["check", "load_ipython_extension", "on"]
