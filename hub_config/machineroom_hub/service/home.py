"""The home page: a person's courses, machines and submissions."""

from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

from . import PREFIX
from .auth import Caller, CallerDep
from .core import Service, ServiceDep
from .exchange import assignments_of
from .machines import as_json, machines_of

router = APIRouter(include_in_schema=False)
api = APIRouter(tags=["people"])

_FOLDER = Path(__file__).parent / "templates"
_STATIC = {"home.css": "text/css", "home.js": "text/javascript", "icon.svg": "image/svg+xml"}
_templates = Jinja2Templates(_FOLDER)


def _day(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment):%d %B %Y, %H:%M} UTC" if moment else ""


_templates.env.filters["day"] = _day


def courses_of(service: Service, caller: Caller) -> list[dict[str, Any]]:
    """The courses that a caller has a role in. Graders also learn what is wrong with a course's files."""
    known, problems = service.catalogue.courses(), service.catalogue.problems()
    roles = dict.fromkeys(known, "instructor") if caller.operator else caller.roles()
    answer = []
    for id, role in sorted(roles.items()):
        if id not in known and id not in problems:
            continue
        course: dict[str, Any] = {"id": id, "title": known[id].title if id in known else id, "role": role}
        if role != "student" and id in problems:
            course["problem"] = problems[id]
        answer.append(course)
    return answer


@api.get("/me", summary="Who the caller is, and their courses")
async def me(service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """`role` is student, ta or instructor; `problem` tells graders what is wrong with the course's files."""
    return {"name": caller.name, "courses": courses_of(service, caller)}


@router.get("/")
async def home(request: Request, service: ServiceDep) -> Response:
    """What a browser gets; it logs in at the hub first."""
    caller = await service.authority.visitor(request)
    if caller is None:
        return service.authority.login()
    courses = courses_of(service, caller)
    usable = service.catalogue.courses()
    for course in courses:
        course["assignments"] = (
            await assignments_of(service, caller, course["id"]) if course["id"] in usable else []
        )
    problem, machines = "", []
    try:
        machines = [as_json(machine) for machine in await machines_of(service, caller.name, None)]
    except HTTPException as error:
        problem = str(error.detail)
    secret = service.authority.page_secret(request.cookies[service.authority.cookie])
    content = {
        "prefix": PREFIX,
        "name": caller.name,
        "courses": courses,
        "machines": machines,
        "problem": problem,
        "secret": secret,
    }
    return _templates.TemplateResponse(request, "home.html", content, headers={"Cache-Control": "no-store"})


@router.get("")
async def slash() -> RedirectResponse:
    """The same address with its slash."""
    return RedirectResponse(f"{PREFIX}/", 308)


@router.get("/oauth_callback")
async def oauth_callback(request: Request, service: ServiceDep) -> Response:
    """Where the hub sends a browser back to."""
    return await service.authority.callback(request)


@router.get("/static/{name}")
async def static(name: str) -> FileResponse:
    """The page's style and script."""
    if name not in _STATIC:
        raise HTTPException(404, f"There is no {name} here.")
    return FileResponse(_FOLDER / name, media_type=_STATIC[name], headers={"Cache-Control": "max-age=3600"})
