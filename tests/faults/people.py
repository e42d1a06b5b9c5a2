"""People at work on a whole installation, over HTTP and websockets as their browsers would be."""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from archives import archive
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

SERVICE = "/services/machineroom/api"
CUT = (httpx.HTTPError, ConnectionClosed, InvalidHandshake, OSError)
"""What a browser meets when a part dies under it."""


def until(condition: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    """Wait until `condition()` is true, through what a dead part answers; what it was at last."""
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            if last := condition():
                return last
        except CUT as error:
            last = error
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s; at last {last!r}"
        time.sleep(0.1)


@dataclass
class Person:
    """Somebody with an account, and the receipts of what they handed in."""

    url: str
    name: str
    password: str
    course: str
    assignment: str
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, timeout=90, trust_env=False)

    def log_in(self) -> None:
        """By the hub's own form."""
        self.http.cookies.clear()
        page = self.http.get("/hub/login")
        form = {"username": self.name, "password": self.password, "_xsrf": page.cookies.get("_xsrf", "")}
        answer = self.http.post("/hub/login", data=form)
        assert answer.status_code == 302, (
            f"{self.name} cannot log in: {answer.status_code} {answer.text[-500:]}"
        )

    def use(self, token: str) -> None:
        """Show this token from now on."""
        self.http.headers["Authorization"] = f"token {token}"

    # The notebook server

    @property
    def model(self) -> dict[str, Any]:
        """What the hub knows of this person's server; {} when there is none."""
        answer = self.http.get(f"/hub/api/users/{self.name}")
        answer.raise_for_status()
        server: dict[str, Any] = answer.json()["servers"].get("", {})
        return server

    def ask_for_server(self) -> None:
        """Begin a start, as the button does; one that has begun is fine."""
        answer = self.http.post(f"/hub/api/users/{self.name}/server")
        assert answer.status_code in (201, 202, 400), answer.text

    def has_server(self) -> bool:
        """Whether the notebook server answers; a start is asked for while there is none."""
        server = self.model
        if not server:
            self.ask_for_server()
        return bool(server.get("ready")) and self.http.get(f"/user/{self.name}/api/status").status_code == 200

    # Terminals

    def new_terminal(self, machine: str | None = None) -> str:
        """Another terminal; its name."""
        body = {"machine": machine} if machine else {}
        answer = self.http.post(f"/user/{self.name}/api/terminals", json=body)
        answer.raise_for_status()
        return str(answer.json()["name"])

    @contextmanager
    def terminal(self, name: str) -> Iterator["Terminal"]:
        """A terminal as a page of the browser has it."""
        url = f"{self.url.replace('http', 'ws')}/user/{self.name}/terminals/websocket/{name}"
        shown = {"Authorization": self.http.headers["Authorization"]}
        with connect(url, additional_headers=shown, max_size=None, proxy=None, open_timeout=30) as socket:
            yield Terminal(socket)

    # The service

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One call of the service's API."""
        return self.http.request(method, f"{SERVICE}/{path}", **request)

    def check(self) -> httpx.Response:
        """Click on "Check"."""
        return self.call("POST", f"courses/{self.course}/checks", json={"assignment": self.assignment})

    @property
    def place(self) -> str:
        """Where the assignment is in the API."""
        return f"courses/{self.course}/assignments/{self.assignment}"

    def submit(self, work: bytes, key: str) -> httpx.Response:
        """Hand in `work`; the same `key` is the same click on "Submit"."""
        headers = {"Content-Type": "application/gzip", "Idempotency-Key": key}
        answer = self.call("POST", f"{self.place}/submissions", content=work, headers=headers)
        if answer.status_code == 201:
            self.receipts[key] = answer.json()
        return answer

    def act(self, action: str, machine: str) -> dict[str, Any]:
        """Do something to one's machine; the last line of the answer."""
        last: dict[str, Any] = {}
        with self.http.stream(
            "POST", f"{SERVICE}/machines/{self.name}/{self.course}/{machine}/{action}"
        ) as reply:
            if reply.is_error:
                reply.read()
                return {"error": detail(reply)}
            for line in reply.iter_lines():
                last = json.loads(line)
        return last

    def submitted(self) -> list[str]:
        """The ids of all that the service has of this person."""
        answer = self.call("GET", f"{self.place}/submissions")
        answer.raise_for_status()
        return [receipt["id"] for receipt in answer.json()]


@dataclass
class Terminal:
    """A terminal's websocket."""

    socket: ClientConnection
    text: str = ""

    def type(self, text: str) -> None:
        """Press keys."""
        self.socket.send(json.dumps(["stdin", text]))

    def see(self, wanted: str, seconds: float = 60) -> re.Match[str]:
        """Wait until something is printed, a regular expression; what came before is forgotten."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(wanted, self.text)):
            try:
                kind, *rest = json.loads(self.socket.recv(timeout=max(0.0, deadline - time.monotonic())))
            except TimeoutError:
                raise AssertionError(
                    f"{wanted!r} was never printed; there was {self.text[-800:]!r}"
                ) from None
            if kind == "stdout":
                self.text += rest[0]
        self.text = self.text[found.end() :]
        return found

    def run(self, command: str, seconds: float = 60) -> str:
        """Run a shell command, and read what it prints."""
        a, b = secrets.token_hex(4), secrets.token_hex(4)
        self.type(f" echo {a}''{b}; {command}; echo {b}''{a}\n")
        return self.see(rf"(?s){a}{b}\r?\n(.*?){b}{a}", seconds)[1]


def notebooks(assignment: str, text: str = "") -> bytes:
    """What somebody hands in."""
    cell = {"cell_type": "markdown", "metadata": {}, "source": text or secrets.token_hex(8)}
    whole = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    return archive({f"{assignment}/{assignment}.ipynb": json.dumps(whole)})


def detail(answer: httpx.Response) -> str:
    """The sentence of an error."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text[:300]}"
