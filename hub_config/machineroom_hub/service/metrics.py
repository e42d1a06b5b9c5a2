"""Prometheus metrics: how many, how long, and what state the machines are in. No names of people."""

from collections import Counter as Tally
from collections.abc import Iterator

from fastapi import APIRouter, HTTPException, Response
from machineroom_spawners.drivers.base import Machine, MachineError, State
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client import GC_COLLECTOR as _GC
from prometheus_client.core import GaugeMetricFamily, Metric

from .auth import CallerDep
from .core import Service, ServiceDep

router = APIRouter()
registry = CollectorRegistry()
for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, _GC):
    registry.register(collector)

SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
requests = Histogram(
    "machineroom_request_seconds",
    "HTTP requests by route and status.",
    ("method", "route", "status"),
    buckets=SECONDS,
    registry=registry,
)
actions = Histogram(
    "machineroom_machine_action_seconds",
    "What was done to machines, and whether it ended well.",
    ("action", "outcome"),
    buckets=SECONDS,
    registry=registry,
)
check_runs = Histogram(
    "machineroom_check_run_seconds",
    "Runs of an assignment's or a task's checks.",
    ("why", "outcome"),
    buckets=SECONDS,
    registry=registry,
)
executions = Histogram(
    "machineroom_execution_seconds",
    "Executions of submissions for a grade, waiting included.",
    ("outcome",),
    buckets=SECONDS,
    registry=registry,
)
submissions = Counter(
    "machineroom_submissions", "Submissions that were taken.", ("course", "assignment"), registry=registry
)
asleep_seconds = Counter(
    "machineroom_machines_asleep_seconds",
    "Time that idle machines have slept, over all machines.",
    registry=registry,
)


def _now(service: Service, machines: list[Machine] | None) -> Iterator[Metric]:
    """What is read off at the moment of scraping."""
    if machines is not None:
        states = Tally(machine.state for machine in machines)
        gauge = GaugeMetricFamily("machineroom_machines", "Machines by state.", labels=["state"])
        for state in State:
            gauge.add_metric([state.value], states[state])
        yield gauge
    yield GaugeMetricFamily(
        "machineroom_engine_up", "Whether the container engine answers.", value=float(machines is not None)
    )
    yield GaugeMetricFamily("machineroom_sessions_idle", "Sessions kept open.", value=len(service.sessions))
    waiting = service.check_slots.statistics().tasks_waiting
    yield GaugeMetricFamily("machineroom_checks_waiting", "Check runs that wait for a slot.", value=waiting)
    problems = service.catalogue.problems()
    broken = GaugeMetricFamily(
        "machineroom_course_broken", "Courses whose files have mistakes.", labels=["course"]
    )
    for course in problems:
        broken.add_metric([course], 1)
    yield broken


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
    tags=["operation"],
)
async def metrics(service: ServiceDep, caller: CallerDep) -> Response:
    """For holders of the hub's scope `read:metrics`, and operators."""
    if not caller.operator and "read:metrics" not in caller.scopes:
        raise HTTPException(403, "Metrics are for tokens with the scope read:metrics.")
    try:
        machines: list[Machine] | None = await service.work(service.machines)
    except MachineError:
        machines = None

    class Now:
        def collect(self) -> Iterator[Metric]:
            return _now(service, machines)

    momentary = CollectorRegistry()
    momentary.register(Now())  # type: ignore[arg-type]
    return Response(
        generate_latest(registry) + generate_latest(momentary), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )
