"""The part of the service's API that the exchange uses, over real HTTP, in a thread of the test."""

import hashlib
import json
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class State:
    """Who there is, and what was released, submitted and said."""

    def __init__(self) -> None:
        self.url = ""
        self.people: dict[str, tuple[str, str]] = {}
        self.releases: dict[tuple[str, str], bytes] = {}
        self.receipts: list[dict] = []
        self.archives: dict[str, bytes] = {}
        self.feedback: dict[str, tuple[str, bytes]] = {}
        self.reports: dict[tuple[str, str], dict | tuple[int, str]] = {}
        self.asked: list[dict] = []
        self.delay = 0.0


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, *_args) -> None:
        pass

    def do_any(self) -> None:
        state = self.state
        split = urlsplit(self.path)
        path = unquote(split.path).removeprefix("/services/machineroom/api/")
        query = {k: v[0] for k, v in parse_qs(split.query).items()}
        body = self._body()
        time.sleep(state.delay)
        token = self.headers.get("Authorization", "").removeprefix("token ")
        if token not in state.people:
            return self.answer(401, {"detail": "This token is not known. Restart your server."})
        who, role = state.people[token]
        grader = role != "student"
        if match := re.fullmatch(r"courses/([^/]+)/assignments", path):
            return self.answer(
                200,
                [
                    {"name": a, "title": a, "lab": None, "due": None, "released": (c, a) in state.releases}
                    for c, a in sorted({*state.releases, (match[1], "ps1"), (match[1], "later")})
                    if c == match[1]
                ],
            )
        if match := re.fullmatch(r"courses/([^/]+)/assignments/([^/]+)/release", path):
            key = (match[1], match[2])
            if self.command == "GET":
                if key not in state.releases:
                    return self.answer(404, {"detail": f"{key[1]} is not released. Ask your instructor."})
                return self.answer(200, state.releases[key])
            if not grader:
                return self.answer(403, {"detail": "Only graders release."})
            if self.command == "PUT":
                state.releases[key] = body
            else:
                del state.releases[key]
            return self.answer(204, b"")
        if match := re.fullmatch(r"courses/([^/]+)/assignments/([^/]+)/submissions", path):
            if self.command == "POST":
                receipt = {
                    "id": secrets.token_hex(8),
                    "course": match[1],
                    "assignment": match[2],
                    "student": who,
                    "timestamp": now(),
                    "sha256": hashlib.sha256(body).hexdigest(),
                    "checks": [],
                }
                state.receipts.append(receipt)
                state.archives[receipt["id"]] = body
                return self.answer(200, receipt)
            student = query.get("student") if grader else who
            found = [
                {**r, "feedback": state.feedback.get(r["id"], (None,))[0]}
                for r in state.receipts
                if (r["course"], r["assignment"]) == (match[1], match[2]) and student in (None, r["student"])
            ]
            if "latest" in query:
                found = list({r["student"]: r for r in found}.values())
            return self.answer(200, found)
        if match := re.fullmatch(r"submissions/([^/]+)", path):
            return self.answer(200, state.archives[match[1]])
        if match := re.fullmatch(r"submissions/([^/]+)/feedback", path):
            if self.command == "PUT":
                state.feedback[match[1]] = (now(), body)
                return self.answer(204, b"")
            if match[1] not in state.feedback:
                return self.answer(404, {"detail": "There is no feedback yet."})
            return self.answer(200, state.feedback[match[1]][1])
        if re.fullmatch(r"courses/([^/]+)/score", path):
            if not grader:
                return self.answer(403, {"detail": "Only graders ask for scores."})
            asked = json.loads(body)
            state.asked.append(asked)
            report = state.reports[asked["student"], asked["task"]]
            if isinstance(report, tuple):
                return self.answer(report[0], {"detail": report[1]})
            return self.answer(200, report)
        return self.answer(404, {"detail": f"There is no {path}."})

    do_GET = do_POST = do_PUT = do_DELETE = do_any

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status: int, body: bytes | list | dict) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving() -> Iterator[State]:
    """A service on a free port."""
    state = State()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"state": state}))
    state.url = f"http://127.0.0.1:{server.server_port}/services/machineroom"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
