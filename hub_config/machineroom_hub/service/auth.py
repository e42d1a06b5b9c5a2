"""Who calls, and what they may do: the hub says so, and nothing else is believed.

Programs show a token (`Authorization: token …`, or `?token=` for websockets). Browsers log in
at the hub (OAuth with PKCE) and get a cookie, which counts for less than a token: it opens the
home page, and the API only together with a secret that stands in that page. Any page on this
host name, a student's web server behind the proxy too, could send the cookie; none can know the secret.
"""

import asyncio
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import httpx
from fastapi import Depends, HTTPException
from fastapi.requests import HTTPConnection
from jupyterhub.services.auth import HubOAuth
from machineroom_spawners.keys import derive
from starlette.responses import RedirectResponse
from tornado.web import HTTPError as TornadoError

from . import PREFIX

ROLES = {"learn": "student", "assist": "ta", "teach": "instructor"}
"""Our scopes for one course, least first, and what their holders are called."""

CACHE_SECONDS = 30
_OPERATE = "custom:machineroom:operate"
_SCOPE = re.compile(r"custom:machineroom:(learn|assist|teach):([a-z][a-z0-9-]*)\Z")
_HEADER = re.compile(r"(?:token|bearer)\s+(\S+)\s*\Z", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{1,256}\Z")


@dataclass(frozen=True)
class Caller:
    """Who calls: a name, the scopes of the token that they showed, and where they call from."""

    name: str
    scopes: frozenset[str]
    address: str

    @property
    def operator(self) -> bool:
        """Whether they run this installation."""
        return _OPERATE in self.scopes

    def may(self, what: str, course: str) -> bool:
        """Whether they may `learn`, `assist` or `teach` in a course. Operators may everything."""
        return self.operator or f"custom:machineroom:{what}:{course}" in self.scopes

    def require(self, what: str, course: str) -> None:
        """Refuse with 403 unless they may."""
        if not self.may(what, course):
            raise HTTPException(
                403,
                f"{self.name} may not do this in course {course}: it needs the role "
                f"{ROLES[what]}. Ask the course's instructor to enrol you, then log in again.",
            )

    def roles(self) -> dict[str, str]:
        """The highest role in each course that their scopes name."""
        found: dict[str, str] = {}
        for what, role in ROLES.items():
            for scope in self.scopes:
                match = _SCOPE.match(scope)
                if match and match[1] == what:
                    found[match[2]] = role
        return found


@dataclass(frozen=True)
class Presence:
    """Somebody whose workspace runs, and when they last did something there, as far as the hub knows."""

    active: datetime | None


class Authority:
    """Asks the hub who a token belongs to, and who is in a course or at work."""

    def __init__(self, hub_api: str, token: str, secret: bytes, *, host_cookies: bool = False) -> None:
        """`host_cookies`: users have host names below ours, so cookies say that they are from ours alone."""
        self._secret = secret
        prefix = "__Host-" if host_cookies else ""
        self.cookie, self._state_cookie = f"{prefix}machineroom", f"{prefix}machineroom-login"
        self._cookies: dict[str, Any] = {
            "path": "/" if host_cookies else f"{PREFIX}/",
            "secure": host_cookies,
            "httponly": True,
            "samesite": "lax",
        }
        self._oauth = HubOAuth(
            api_url=hub_api,
            api_token=token,
            oauth_client_id="service-machineroom",
            base_url=f"{PREFIX}/",
            oauth_redirect_uri=f"{PREFIX}/oauth_callback",
            oauth_authorization_url="/hub/api/oauth2/authorize",
            cache_max_age=CACHE_SECONDS,
        )
        self._hub = httpx.AsyncClient(
            base_url=hub_api.rstrip("/") + "/",
            headers={"Authorization": f"token {token}"},
            timeout=10,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections to the hub."""
        await self._hub.aclose()

    async def identify(self, connection: HTTPConnection, *, fresh: bool = False) -> Caller | None:
        """Who calls, by token or by cookie with the page's secret; None for a stranger."""
        token = token_of(connection)
        if token is None and connection.scope["type"] == "http":
            cookie = connection.cookies.get(self.cookie, "")
            shown = connection.headers.get("x-xsrftoken", "")
            if cookie and hmac.compare_digest(shown.encode(), self.page_secret(cookie).encode()):
                token = cookie
        return await self.whose(token, connection, fresh=fresh) if token else None

    async def visitor(self, connection: HTTPConnection) -> Caller | None:
        """Who opens a page: by cookie alone, if it is a page that opens and not a script that fetches."""
        cookie = connection.cookies.get(self.cookie)
        site = connection.headers.get("sec-fetch-dest", "document")
        return await self.whose(cookie, connection) if cookie and site == "document" else None

    async def whose(self, token: str, connection: HTTPConnection, *, fresh: bool = False) -> Caller | None:
        """The owner of `token`, if it is one; asked again if `fresh`, else at most 30 s old."""
        if not _TOKEN.match(token):
            return None
        try:
            model = await self._oauth.user_for_token(token, use_cache=not fresh, sync=False)
        except TornadoError as error:
            raise hub_is_away(error) from error
        if model is None or (model.get("kind") != "user" and _OPERATE not in model["scopes"]):
            return None  # of the hub's services only the operator's command line has business here
        return Caller(model["name"], frozenset(model["scopes"]), client_address(connection))

    async def refused(
        self,
        connection: HTTPConnection,
        check: Callable[[Caller], Awaitable[None]],
        seconds: float = CACHE_SECONDS,
    ) -> None:
        """Wait until who has opened a connection is no longer let by `check`, which raises HTTPException."""
        while True:
            await asyncio.sleep(seconds)
            try:
                caller = await self.identify(connection)
                if caller is None:
                    return
                await check(caller)
            except HTTPException as error:
                if error.status_code != 503:  # the hub may be restarting: that ends nobody's connection
                    return

    async def members(self, course: str) -> set[str]:
        """Everybody who is in a course, in whatever role, by the hub's groups."""
        return await self.students(course) | await self._group(f"formgrade-{course}")

    async def students(self, course: str) -> set[str]:
        """Everybody who is a student of a course, by the hub's groups."""
        return await self._group(f"nbgrader-{course}")

    async def _group(self, name: str) -> set[str]:
        reply = await self._ask(f"groups/{quote(name)}", missing=True)
        return set(reply["users"]) if reply else set()

    async def presence(self) -> dict[str, Presence]:
        """Everybody whose workspace runs, and since when they did nothing there."""
        found: dict[str, Presence] = {}
        offset: int | None = 0
        while offset is not None:
            page = await self._ask(f"users?state=ready&offset={offset}&limit=200")
            for user in page["items"]:
                active = user.get("last_activity")
                found[user["name"]] = Presence(datetime.fromisoformat(active) if active else None)
            offset = (page["_pagination"]["next"] or {}).get("offset")
        return found

    async def _ask(self, path: str, *, missing: bool = False) -> Any:
        """What the hub's API answers; None for what does not exist, if that may be."""
        headers = {"Accept": "application/jupyterhub-pagination+json"} if "limit=" in path else {}
        try:
            reply = await self._hub.get(path, headers=headers)
        except httpx.HTTPError as error:
            raise hub_is_away(error) from error
        if reply.status_code == 404 and missing:
            return None
        if reply.status_code != 200:
            raise hub_is_away(f"{path}: {reply.status_code} {reply.text[:200]}")
        return reply.json()

    def page_secret(self, cookie: str) -> str:
        """What a page holds to show that a request comes from it."""
        return derive(self._secret, "page", cookie).hex()

    def login(self) -> RedirectResponse:
        """Send a browser to the hub to log in."""
        verifier, challenge, method = self._oauth.generate_pkce_code_challenge()
        state = secrets.token_urlsafe(24)
        query = urlencode(
            {
                "client_id": self._oauth.oauth_client_id,
                "redirect_uri": self._oauth.oauth_redirect_uri,
                "response_type": "code",
                "state": state,
                "code_challenge": challenge,
                "code_challenge_method": method,
            }
        )
        answer = RedirectResponse(f"{self._oauth.oauth_authorization_url}?{query}", 302)
        answer.set_cookie(self._state_cookie, f"{state}.{verifier}", max_age=600, **self._cookies)
        return answer

    async def callback(self, connection: HTTPConnection) -> RedirectResponse:
        """The browser comes back from the hub: check that it is the one we sent, and give it its cookie."""
        query = connection.query_params
        state, _, verifier = connection.cookies.get(self._state_cookie, "").partition(".")
        if not state or not hmac.compare_digest(state.encode(), query.get("state", "").encode()):
            raise HTTPException(403, f"This login was not begun in this browser. Open {PREFIX}/ again.")
        if "code" not in query:
            raise HTTPException(
                403, f"The hub refused the login. Open {PREFIX}/ again, or log in at /hub/ first."
            )
        try:
            token = await self._oauth.token_for_code(query["code"], code_verifier=verifier, sync=False)
        except TornadoError as error:
            raise HTTPException(403, f"The hub did not confirm the login. Open {PREFIX}/ again.") from error
        answer = RedirectResponse(f"{PREFIX}/", 302)
        answer.delete_cookie(self._state_cookie, **self._cookies)
        secure = connection.headers.get("x-forwarded-proto", connection.url.scheme).startswith("https")
        answer.set_cookie(
            self.cookie, token, **{**self._cookies, "secure": secure or self._cookies["secure"]}
        )
        return answer


def token_of(connection: HTTPConnection) -> str | None:
    """The token that a request shows: in its header, or for a websocket in its address."""
    match = _HEADER.match(connection.headers.get("authorization", ""))
    if match:
        return match[1]
    return connection.query_params.get("token") if connection.scope["type"] == "websocket" else None


def client_address(connection: HTTPConnection) -> str:
    """Where a request comes from; the proxy's word for it is taken by uvicorn, and only the proxy's."""
    return connection.client.host if connection.client else ""


def hub_is_away(why: Any) -> HTTPException:
    """What to answer when the hub cannot be asked."""
    from .audit import log

    log.error("hub does not answer", extra={"data": {"why": str(why)}})
    return HTTPException(
        503, "JupyterHub does not answer, so nobody can be identified. Try again in a moment."
    )


async def _caller(connection: HTTPConnection) -> Caller:
    return await _identified(connection, fresh=False)


async def _caller_now(connection: HTTPConnection) -> Caller:
    return await _identified(connection, fresh=True)


async def _identified(connection: HTTPConnection, *, fresh: bool) -> Caller:
    authority: Authority = connection.app.state.service.authority
    caller = await authority.identify(connection, fresh=fresh)
    if caller is None:
        raise HTTPException(
            401,
            "This needs a JupyterHub token: send 'Authorization: token …' "
            "(in a workspace it is in $JUPYTERHUB_API_TOKEN). Yours is missing, wrong or expired.",
            {"WWW-Authenticate": "token"},
        )
    return caller


CallerDep = Annotated[Caller, Depends(_caller)]
"""The caller, as the hub knew them at most 30 s ago."""
CallerNow = Annotated[Caller, Depends(_caller_now)]
"""The caller, as the hub knows them now: for what cannot be undone."""
