"""bench: figures beside stock's."""

import typer


def register(app: typer.Typer) -> None:
    """Add this module's commands to the tree."""
