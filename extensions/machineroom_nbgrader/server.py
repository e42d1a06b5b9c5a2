"""nbgrader's server extensions as a workspace needs them: by role, and never in the way of a terminal.

They answer at the same addresses with the same JSON as nbgrader's own, so its JupyterLab panels are used
as they are. Students get the assignment list and validation, graders formgrader and the course list too.
"""

import asyncio
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado import web

from .assignments import ACTIONS, Assignments
from .config import COURSE, graded_course
from .jobs import Jobs
from .workspace import Course, read_workspace

GRADERS_ONLY = ("formgrader", "course-list", "create-assignment")
"""nbgrader's JupyterLab plugins that students do not get."""


class AssignmentsHandler(JupyterHandler):
    """The assignment list's calls, one after the other in a thread of their own."""

    def initialize(self, assignments: Assignments, threads: ThreadPoolExecutor) -> None:
        """Tornado's constructor."""
        self._assignments = assignments
        self._threads = threads

    async def _finish(self, work: Callable[..., dict[str, Any]], *arguments: str) -> None:
        answer = await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        self.finish(json.dumps(answer))


class CoursesHandler(AssignmentsHandler):
    """The user's courses."""

    @web.authenticated
    async def get(self) -> None:
        """A list of ids."""
        await self._finish(self._assignments.courses)


class ListHandler(AssignmentsHandler):
    """What there is to fetch and what was submitted."""

    @web.authenticated
    async def get(self) -> None:
        """The rows of the panel, for the course in the query."""
        await self._finish(self._assignments.rows, self.get_argument("course_id"))


class ActHandler(AssignmentsHandler):
    """The panel's buttons."""

    @web.authenticated
    async def post(self, action: str) -> None:
        """Fetch, submit or fetch feedback."""
        body = self.get_json_body() or {}
        await self._finish(self._assignments.act, action, str(body["course_id"]), str(body["assignment_id"]))


class VersionHandler(JupyterHandler):
    """Tells nbgrader's panels, before their first call, whether they are of the installed version."""

    @web.authenticated
    def get(self) -> None:
        """As nbgrader's own does, which costs the import of all of nbgrader."""
        theirs, ours = self.get_argument("version"), version("nbgrader")
        said = f"This page is of nbgrader {theirs}, your server has {ours}. Reload the page."
        self.finish(json.dumps({"success": True} if theirs == ours else {"success": False, "message": said}))


class ValidateHandler(JupyterHandler):
    """The Validate button. A notebook runs for as long as it likes; nothing else waits for it."""

    def initialize(self, root: Path, jobs: Jobs) -> None:
        """Tornado's constructor."""
        self._root = root
        self._jobs = jobs

    @web.authenticated
    async def post(self) -> None:
        """Run the notebook that the query or the body names."""
        path = self.get_argument("path", None) or (self.get_json_body() or {})["path"]
        notebook = (self._root / path).resolve()
        if not notebook.is_relative_to(self._root):
            raise web.HTTPError(403, f"{path} is outside of the folder that this server serves")
        self.finish(json.dumps(await self._jobs.run("validate", str(notebook))))


class CourseListHandler(JupyterHandler):
    """The courses that the user grades; a click on one opens its formgrader."""

    @web.authenticated
    def get(self) -> None:
        """The rows of nbgrader's course list."""
        url = url_path_join(self.base_url, "formgrader")
        rows = [
            {"course_id": course.id, "url": f"{url}?course={course.id}", "kind": "local"}
            for course in read_workspace().graded
        ]
        self.finish(json.dumps({"success": True, "value": rows}))


def load(server: ServerApp) -> None:
    """Serve what the user's role needs; without a `workspace.json`, nothing."""
    try:
        workspace = read_workspace()
    except FileNotFoundError as error:
        server.log.info("nbgrader is off: this is not a workspace of Machineroom (%s)", error)
        return
    root = Path(server.root_dir).resolve()
    common = {
        "assignments": Assignments(root, server.log),
        "threads": ThreadPoolExecutor(1, thread_name_prefix="assignments"),
    }
    _serve(
        server,
        (r"/courses", CoursesHandler, common),
        (r"/assignments", ListHandler, common),
        (rf"/assignments/({'|'.join(ACTIONS)})", ActHandler, common),
        (r"/assignments/validate", ValidateHandler, {"root": root, "jobs": Jobs(str(root), keep=False)}),
        (r"/nbgrader_version", VersionHandler),
    )
    if workspace.graded:
        _serve_formgrader(server, root, graded_course(workspace))
    else:
        _hide(server, {f"@jupyter/nbgrader:{name}" for name in GRADERS_ONLY})


def _serve_formgrader(server: ServerApp, root: Path, course: Course | None) -> None:
    from nbgrader.server_extensions.formgrader import formgrader, handlers
    from nbgrader.server_extensions.formgrader.base import BaseApiHandler, BaseHandler

    from . import regrade_page

    class OpenHandler(BaseHandler):
        """Opens formgrader for the course in the query; nbgrader's own knows one course per server."""

        @web.authenticated
        def get(self) -> None:
            wanted = self.get_argument("course", None)
            if wanted in {course.id for course in read_workspace().graded}:
                os.environ[COURSE] = wanted
                gradebook = self.settings["nbgrader_gradebook"]
                if gradebook:
                    gradebook.close()
                self.settings["nbgrader_gradebook"] = None
                self.settings["nbgrader_formgrader"].initialize([])
            self.redirect(f"{self.base_url}/formgrader/manage_assignments")

    class JobHandler(BaseApiHandler):
        """A button that takes long, done in a process of its own."""

        def initialize(self, action: str) -> None:
            self._action = action

        @web.authenticated
        async def post(self, *arguments: str) -> None:
            self.finish(json.dumps(await jobs.run(self._action, *arguments)))

    class WriteHandler(BaseApiHandler):
        """The Regrade page's second button."""

        @web.authenticated
        async def post(self, assignment: str) -> None:
            body = self.get_json_body() or {}
            plan, how = (str(body.get(key, "")) for key in ("plan", "how"))
            answer = await jobs.run("regrade", assignment, plan, how)
            self.finish(json.dumps(answer))

    class FilesHandler(handlers.SubmissionFilesHandler):
        """A student's files as they are: no script in them may act as the grader who looks at them."""

        def set_extra_headers(self, _path: str) -> None:
            self.set_header("Content-Security-Policy", "sandbox")

    jobs = Jobs(str(root), keep=True)
    theirs, ours = handlers.SubmissionFilesHandler, FilesHandler
    pages = [
        (path, ours if page is theirs else page, *rest) for path, page, *rest in handlers.default_handlers
    ]
    name = "([^/]+)"
    whole, one = f"/formgrader/api/assignment/{name}", f"/formgrader/api/assignment/{name}/{name}"
    _serve(
        server,
        (r"/formgraders", CourseListHandler),
        (r"/formgrader/?", OpenHandler),
        (regrade_page.PATH, regrade_page.RegradeHandler),
        (f"{whole}/regrade", WriteHandler),
        (f"{whole}/assign", JobHandler, {"action": "generate_assignment"}),
        (f"{whole}/release", JobHandler, {"action": "release_assignment"}),
        (f"{whole}/unrelease", JobHandler, {"action": "unrelease"}),
        (f"{whole}/collect", JobHandler, {"action": "collect"}),
        (f"/formgrader/api/submission/{name}/{name}/autograde", JobHandler, {"action": "autograde"}),
        (f"{whole}/generate_feedback", JobHandler, {"action": "generate_feedback"}),
        (f"{whole}/release_feedback", JobHandler, {"action": "release_feedback"}),
        (f"{one}/generate_feedback", JobHandler, {"action": "generate_feedback"}),
        (f"{one}/release_feedback", JobHandler, {"action": "release_feedback"}),
        *pages,
    )
    server.log.info("formgrader is for %s; the course list has your other courses", course)
    formgrader.load_jupyter_server_extension(server)
    server.web_app.settings["nbgrader_jinja2_env"] = regrade_page.templates()


def _serve(server: ServerApp, *handlers: tuple[Any, ...]) -> None:
    """Add handlers. Tornado asks them in the order of their coming, so ours stand before nbgrader's."""
    base = server.web_app.settings["base_url"]
    server.web_app.add_handlers(".*$", [(url_path_join(base, pattern), *rest) for pattern, *rest in handlers])


def _hide(server: ServerApp, plugins: set[str]) -> None:
    """Have JupyterLab leave `plugins` out."""
    settings = server.web_app.settings
    before = settings.get("page_config_hook")

    def hook(handler: Any, page_config: dict[str, Any]) -> dict[str, Any]:
        page_config = before(handler, page_config) if before else page_config
        disabled = set(page_config.get("disabledExtensions", ()))
        return {**page_config, "disabledExtensions": sorted(disabled | plugins)}

    settings["page_config_hook"] = hook
