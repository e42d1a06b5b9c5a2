"""The tree of commands."""

from typing import Annotated

import typer

from . import bench, cloud, course, grade, image, lifecycle, people, roster, sleeping, suite, workshop

app = typer.Typer(
    name="machineroom",
    help="Jupyter courseware in which every student gets a notebook and a machine of their own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo("machineroom 0.1.0")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Jupyter courseware in which every student gets a notebook and a machine of their own."""


for module in (lifecycle, people, suite, bench):
    module.register(app)
app.add_typer(sleeping.app, name="machine")
app.add_typer(cloud.app, name="cloud")
app.add_typer(course.app, name="course")
app.add_typer(grade.app, name="grade")
app.add_typer(image.app, name="image")
app.add_typer(roster.app, name="roster")
app.add_typer(workshop.app, name="workshop")
