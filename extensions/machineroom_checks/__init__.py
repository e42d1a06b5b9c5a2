"""Checks: whether a machine is as a task asks. In a notebook: `from machineroom_checks import check, on`."""
