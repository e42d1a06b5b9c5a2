"""The API of labs: what they are made of, as their course describes them."""

from typing import Any

from fastapi import APIRouter
from machineroom_spawners.course import Course

from .auth import CallerDep
from .core import CourseId, ServiceDep

router = APIRouter(tags=["machines"])


@router.get("/courses/{course}/labs", summary="The labs of a course: machines, networks, limits")
async def labs(course: CourseId, service: ServiceDep, caller: CallerDep) -> list[dict[str, Any]]:
    """`networks` is empty where all machines of a lab are on one network; `memory` is in bytes."""
    caller.require("learn", course)
    found = service.course(course)
    return [_lab(found, name) for name in found.labs]


def _lab(course: Course, name: str) -> dict[str, Any]:
    lab = course.labs[name]
    return {
        "lab": name,
        "default": lab.default,
        "networks": lab.networks,
        "machines": [
            {
                "machine": machine,
                "image": content.image,
                "driver": content.driver,
                "ports": content.ports,
                **course.limits(name, machine).model_dump(),
            }
            for machine, content in lab.machines.items()
        ],
    }
