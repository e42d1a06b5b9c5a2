"""Every route of hub and service, read from the code: a new one that lets strangers in fails here."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIWebSocketRoute, iter_route_contexts
from jupyterhub import apihandlers, handlers
from machineroom_hub.auth import PasswordAuthenticator
from machineroom_hub.service.app import create_app
from tornado.web import RequestHandler
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from .conftest import School

METHODS = ("get", "post", "put", "patch", "delete")
SERVICE_OPEN = {
    "/services/machineroom": 308,
    "/services/machineroom/": 302,
    "/services/machineroom/oauth_callback": 403,
    "/services/machineroom/static/ada": 404,
    "/services/machineroom/api/openapi.json": 200,
}
"""What the service answers to strangers otherwise than with 401: a login, and what nobody's secret is in."""

HUB_OPEN = {
    "GET /hub/login",
    "GET /hub/logout",
    "GET /hub/api",
    "GET /hub/api/",
    "GET /hub/api/health",
    "GET /hub/health",
    "GET /hub/logo",
    "GET /hub/error/404",
    "POST /hub/api/authorizations/token/ada",
    "GET /hub/join",
    "GET /hub/join/line",
}
"""What the hub answers to strangers with a page: the login and what belongs to it, and where one joins a
workshop. (The authorization is an old call of JupyterHub's, at which it fails for everybody.)"""


def example(pattern: str) -> str:
    """An address that a route's pattern fits."""
    found = pattern.removesuffix("$").removesuffix("/?")
    while (
        simpler := re.sub(r"\((?:\?P<\w+>|\?:)?[^()]*\)\??", "404" if "error" in found else "ada", found)
    ) != found:
        found = simpler
    return found.replace("\\", "")


def hub_routes() -> Iterator[tuple[str, str]]:
    own = PasswordAuthenticator().get_handlers(None)
    api = [("/api" + pattern.removeprefix("/api"), kind) for pattern, kind in apihandlers.default_handlers]
    for pattern, kind, *_ in [*own, *handlers.default_handlers, *api]:
        assert re.fullmatch(pattern, example(pattern)), pattern
        for method in METHODS:
            if getattr(kind, method) is not RequestHandler._unimplemented_method:
                yield method.upper(), "/hub" + example(pattern)


def test_the_hub(school: School) -> None:
    let_in = set()
    with school.client() as stranger:
        routes = sorted(set(hub_routes()))
        assert ("PATCH", "/hub/api/users/ada") in routes
        assert len(routes) > 80
        for method, path in routes:
            stranger.cookies.clear()
            answer = stranger.request(method, path)
            to = answer.headers.get("Location", "")
            led = answer.status_code in (301, 302) and re.match(r"/hub/(login|$|\?)|/hub/api/oauth2", to)
            if not led and answer.status_code not in (400, 401, 403, 404, 405, 410):
                let_in.add(f"{method} {path}")
    assert let_in <= HUB_OPEN


def test_the_service(school: School) -> None:
    app: Any = create_app(school.installation.room, "http://127.0.0.1:1/hub/api")
    routes = list(iter_route_contexts(app.routes))
    assert len(routes) > 30
    with school.client() as stranger:
        for route in routes:
            path = re.sub(r"{[^}]+}", "ada", route.path or "")
            if isinstance(route.route, APIWebSocketRoute):
                with pytest.raises(InvalidStatus, match=r"401|403"):
                    connect(school.url.replace("http", "ws") + path, proxy=None)
                continue
            for method in (route.methods or set()) - {"HEAD", "OPTIONS"}:
                answer = stranger.request(method, path, json={})
                assert answer.status_code == SERVICE_OPEN.get(path, 401), f"{method} {path}: {answer.text}"
