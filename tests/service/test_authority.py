"""Who may call what: every endpoint, with every kind of caller."""

import httpx
import pytest
from archives import GOOD
from classroom import Classroom

STUDENTS = {"ada", "ben"}
GRADERS = {"tom", "ina", "root"}
IN_COURSE = STUDENTS | GRADERS
CALLERS = sorted(IN_COURSE | {"eve", "tim", "stranger"})

CALLS = {
    "GET me": {*CALLERS},
    "GET courses/demo/assignments": IN_COURSE,
    "PUT courses/demo/assignments/essay/release": GRADERS,
    "GET courses/demo/assignments/essay/release": IN_COURSE,
    "DELETE courses/demo/assignments/second/release": GRADERS,
    "POST courses/demo/assignments/essay/submissions": IN_COURSE,
    "GET courses/demo/assignments/essay/submissions": IN_COURSE,
    "GET courses/demo/assignments/essay/submissions?student=ben": {"ben"} | GRADERS,
    "GET courses/demo/tasks": IN_COURSE,
    "POST courses/demo/checks": IN_COURSE,
    "POST courses/demo/score": GRADERS,
    "GET courses/demo/audit": {"ina", "root"},
    "GET machines": {*CALLERS},
    "GET machines?course=demo": GRADERS,
    "GET machines?usage=true": {*CALLERS},
    "GET machines?course=demo&usage=true": GRADERS,
    "GET courses/demo/labs": IN_COURSE,
    "GET courses/demo/verdicts?assignment=essay": IN_COURSE,
    "POST courses/demo/verdicts?assignment=essay": IN_COURSE,
    "GET machines/ada/demo/pair/box/snapshots": {"ada"} | GRADERS,
    "PUT machines/ada/demo/pair/box/snapshots/mine": {"ada"} | GRADERS,
    "POST machines/ada/demo/pair/box/snapshots/mine": {"ada"} | GRADERS,
    "DELETE machines/ada/demo/pair/box/snapshots/mine": {"ada"} | GRADERS,
    "POST machines/ada/demo/pair/box/ensure": {"ada"} | GRADERS,
    "POST machines/ada/demo/pair/box/suspend": {"ada"} | GRADERS,
    "POST machines/ada/demo/pair/box/resume": {"ada"} | GRADERS,
    "POST machines/ada/demo/pair/box/stop": {"ada"} | GRADERS,
    "POST machines/ada/demo/pair/box/reset": {"ada"} | GRADERS,
    "GET submissions/OF-ADA": {"ada"} | GRADERS,
    "GET submissions/OF-ADA/feedback": {"ada"} | GRADERS,
    "PUT submissions/OF-ADA/feedback": GRADERS,
}
BODIES: dict[str, object] = {
    "POST courses/demo/checks": {"task": "no-such-task"},
    "POST courses/demo/score": {"assignment": "first", "task": "no-such-task", "student": "ada"},
}


@pytest.fixture(scope="module")
def submission(school: Classroom) -> str:
    """One of ada's, with feedback."""
    school.release("essay")
    reply = school["ada"].post("courses/demo/assignments/essay/submissions", content=GOOD)
    assert reply.status_code == 201, reply.text
    found = str(reply.json()["id"])
    assert school["ina"].put(f"submissions/{found}/feedback", content=GOOD).status_code == 200
    return found


def send(client: httpx.Client, call: str, submission: str) -> httpx.Response:
    method, path = call.split(" ")
    path = path.replace("OF-ADA", submission)
    if call in BODIES:
        return client.request(method, path, json=BODIES[call])
    return client.request(method, path, content=GOOD if method == "PUT" or "submissions" in path else None)


@pytest.mark.parametrize("call", [call for call in CALLS if "ensure" not in call and "reset" not in call])
def test_whoever_may_may_and_nobody_else(school: Classroom, submission: str, call: str) -> None:
    for name in CALLERS:
        reply = send(school[name], call, submission)
        if name in CALLS[call]:
            assert reply.status_code not in (401, 403, 500), (name, reply.text)
            if "/OF-ADA" in call or call == "GET me":
                assert reply.status_code == 200, (name, reply.text)
        else:
            assert reply.status_code in (403, 404), (name, reply.text)
            assert len(reply.json()["detail"]) > 20


@pytest.mark.parametrize("call", [call for call in CALLS if "ensure" in call or "reset" in call])
def test_nobody_makes_or_resets_another_ones_machine(school: Classroom, call: str) -> None:
    for name in CALLERS:
        if name not in CALLS[call]:
            assert send(school[name], call, "").status_code == 403, name
    assert school["tom"].get("machines?owner=ada").json() == []


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("token", [None, "0123456789abcdef" * 4, "x" * 5000, "a b", "'; DROP TABLE audit"])
def test_without_a_true_token_nothing_is_open(
    school: Classroom, submission: str, call: str, token: str | None
) -> None:
    with school.client(token) as client:
        reply = send(client, call, submission)
    assert reply.status_code == 401
    assert "JUPYTERHUB_API_TOKEN" in reply.json()["detail"]


def test_a_token_in_the_address_counts_for_nothing(school: Classroom) -> None:
    with school.client() as client:
        assert client.get(f"me?token={school.token('ada')}").status_code == 401


def test_a_token_can_do_what_its_scopes_say_and_not_what_its_owner_could(school: Classroom) -> None:
    token = school.token("ina", scopes=["custom:machineroom:learn:demo"])
    with school.client(token) as client:
        assert client.get("me").json()["courses"] == [
            {"id": "demo", "title": "A demonstration", "role": "student"}
        ]
        assert client.get("courses/demo/audit").status_code == 403
    with school.client(school.token("ada", scopes=["read:users:name!user"])) as client:
        assert client.get("me").json() == {"name": "ada", "courses": []}
        assert client.post("machines/ada/demo/pair/box/stop").status_code == 403


def test_a_service_is_not_a_person(school: Classroom) -> None:
    with school.client(school.room.token("test")) as client:
        assert client.get("me").status_code == 401


def test_what_cannot_be_undone_asks_the_hub_each_time(school: Classroom) -> None:
    reply = school.hub_call("POST", "users/ben/tokens").json()
    with school.client(reply["token"]) as client:
        assert client.get("me").status_code == 200
        school.hub_call("DELETE", f"users/ben/tokens/{reply['id']}")
        assert client.get("me").status_code == 200, "remembered for half a minute"
        assert client.post("machines/ben/demo/pair/box/stop").status_code == 401


def test_roles_as_the_hub_gives_them(school: Classroom) -> None:
    roles = {name: school[name].get("me").json()["courses"] for name in ("ada", "tom", "ina", "stranger")}
    assert [c["role"] for c in roles["ada"]] == ["student"]
    assert [c["role"] for c in roles["tom"]] == ["ta"]
    assert [c["role"] for c in roles["ina"]] == ["instructor"]
    assert roles["stranger"] == []


@pytest.mark.parametrize("owner", ["stranger", "nobody-at-all", "../../root", "eve", "a" * 256])
def test_graders_reach_only_people_of_their_course(school: Classroom, owner: str) -> None:
    quoted = owner.replace("/", "%2F")
    assert school["tom"].post(f"machines/{quoted}/demo/pair/box/stop").status_code in (404, 422)


@pytest.mark.parametrize(
    "place",
    ["demo/pair/nix", "demo/nix/box", "nix/pair/box", "demo/..%2Fpair/box", "demo/pair/box%00", "D/p/b"],
)
def test_places_that_do_not_exist_are_said_to(school: Classroom, place: str) -> None:
    reply = school["ada"].post(f"machines/ada/{place}/stop")
    assert reply.status_code in (403, 404, 422)
    assert reply.json()["detail"]
