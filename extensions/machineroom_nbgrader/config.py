"""nbgrader's configuration in a workspace, made from `workspace.json` when nbgrader starts."""

import os
from pathlib import Path

from traitlets.config import Config

from .workspace import Course, Workspace, read_workspace

COURSE = "MACHINEROOM_COURSE"
"""The environment variable that names the course to grade, when neither folder nor habit says it."""

_EXCHANGE = {
    "exchange": "Exchange",
    "collect": "ExchangeCollect",
    "fetch_assignment": "ExchangeFetchAssignment",
    "fetch_feedback": "ExchangeFetchFeedback",
    "list": "ExchangeList",
    "release_assignment": "ExchangeReleaseAssignment",
    "release_feedback": "ExchangeReleaseFeedback",
    "submit": "ExchangeSubmit",
}


def configure(c: Config) -> None:
    """Fill in nbgrader's configuration `c` for this workspace; outside of one, leave it as it is."""
    try:
        workspace = read_workspace()
    except FileNotFoundError:
        return
    for trait, name in _EXCHANGE.items():
        c.ExchangeFactory[trait] = f"machineroom_nbgrader.exchange.{name}"
    c.Exchange.assignment_dir = str(Path.home())
    # what a student's notebook displays must not run as a script in a grader's browser
    c.HTMLExporter.sanitize_html = True
    c.HTMLExporter.filters = {
        "clean_html": "machineroom_nbgrader.clean.clean_html",
        "strip_files_prefix": "machineroom_nbgrader.clean.clean_markdown",
    }
    course = graded_course(workspace)
    if course:
        c.CourseDirectory.course_id = course.id
        c.CourseDirectory.root = str(course.folder)
        _grading(c)
    elif len(workspace.courses) == 1:
        c.CourseDirectory.course_id = workspace.courses[0].id


def graded_course(workspace: Workspace) -> Course | None:
    """The course to grade: the one of the current folder, else MACHINEROOM_COURSE, else the first."""
    here = Path.cwd()
    for course in workspace.graded:
        if here.is_relative_to(course.folder):
            return course
    wanted = os.environ.get(COURSE)
    return next((c for c in workspace.graded if c.id == wanted), next(iter(workspace.graded), None))


def _grading(c: Config) -> None:
    """nbgrader's own preprocessors in their own order, with ours in the place of two, and one more.

    Its converter is one that has many submissions executed at once.
    """
    from .autograde import install  # which imports all of nbgrader

    install()
    own, nbgrader = "machineroom_nbgrader", "nbgrader.preprocessors"
    c.Autograde.sanitize_preprocessors = [
        f"{nbgrader}.ClearOutput",
        f"{nbgrader}.DeduplicateIds",
        f"{nbgrader}.OverwriteKernelspec",
        f"{own}.sanitize.RestoreCells",
        f"{nbgrader}.CheckCellMetadata",
    ]
    c.Autograde.autograde_preprocessors = [
        f"{own}.apart.ExecuteApart",
        f"{nbgrader}.IgnorePattern",
        "nbconvert.preprocessors.ClearMetadataPreprocessor",
        f"{nbgrader}.LimitOutput",
        f"{own}.grading.ScoreChecks",
        f"{nbgrader}.SaveAutoGrades",
        f"{own}.late.LatePenalty",
        f"{nbgrader}.CheckCellMetadata",
    ]
    c.GenerateFeedback.preprocessors = [
        f"{nbgrader}.GetGrades",
        f"{own}.hide.HideTests",
        "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
    ]
