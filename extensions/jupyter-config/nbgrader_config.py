"""nbgrader in a workspace of Machineroom. Your own settings go into nbgrader_config.py of a course."""

from machineroom_nbgrader.config import configure

configure(get_config())  # noqa: F821
