"""The Regrade page of formgrader: what corrected checks would change, and then the gradebook with it."""

from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader
from nbgrader.server_extensions.formgrader.base import BaseHandler, check_notebook_dir, check_xsrf
from nbgrader.server_extensions.formgrader.handlers import template_path
from tornado import web

PATH = r"/formgrader/regrade/([^/]+)/?"


class RegradeHandler(BaseHandler):
    """`GET …/formgrader/regrade/ASSIGNMENT`. The plan is the service's, asked for through our relay."""

    @web.authenticated
    @check_xsrf
    @check_notebook_dir
    def get(self, assignment: str) -> None:
        page = self.render(
            "regrade.tpl", base_url=self.base_url, assignment=assignment, course=self.coursedir.course_id
        )
        self.write(page)


def templates() -> Environment:
    """nbgrader's templates with ours before them; as `nbgrader/…` theirs can be extended."""
    ours, theirs = Path(__file__).with_name("templates"), FileSystemLoader(template_path)
    return Environment(  # noqa: S701 - nbgrader's templates escape for themselves
        loader=ChoiceLoader([FileSystemLoader(ours), PrefixLoader({"nbgrader": theirs}), theirs])
    )


def write(coursedir: Any, assignment: str, plan: str, how: str) -> dict[str, Any]:
    """Write the plan of that id, if there is one, and bring what counts into the gradebook.

    `how` is "never_lower" or "". Answers as nbgrader does; what was brought is in `done` and `problems`.
    """
    from .regrade import bring
    from .service import Service, ServiceError

    service = Service()
    try:
        if plan:
            order = {"never_lower": how == "never_lower"}
            service.json("POST", "regrades", plan, "write", json=order)
        place = ("courses", coursedir.course_id, "assignments", assignment, "verdicts")
        brought = bring(coursedir, assignment, service.json("GET", *place))
    except ServiceError as error:
        return {"success": False, "value": str(error)}
    return {"success": True, **brought}
