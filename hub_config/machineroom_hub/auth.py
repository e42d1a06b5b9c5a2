"""Who somebody is to JupyterHub: the password login, and which groups, roles and scopes follow from it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jupyterhub import orm
from jupyterhub.auth import Authenticator
from machineroom_spawners.course import COURSE_ID
from sqlalchemy.orm import object_session
from tornado import web
from tornado.web import RequestHandler
from traitlets import Bool, Instance, Integer, Set, Unicode, default

from . import accounts, join
from .accounts import Account, Role
from .room import Room
from .throttle import Allowance, Throttle
from .welcome import WelcomeHandler

SERVICE = "machineroom"
ACCESS = f"access:services!service={SERVICE}"
OPERATE = "custom:machineroom:operate"
OPERATORS = "machineroom-operators"
"""The group of operators."""

_GROUPS = {
    Role.STUDENT: ("nbgrader",),
    Role.TA: ("formgrade",),
    Role.INSTRUCTOR: ("formgrade", "teach"),
}
_AUTHORITY = {
    "nbgrader": ("learn",),
    "formgrade": ("learn", "assist"),
    "teach": ("learn", "assist", "teach"),
}
_MEANS = {
    "learn": "Take part in the course {course}: fetch and hand in, use machines of one's own",
    "assist": "Help and grade in the course {course}: see its students' machines and submissions",
    "teach": "Be in charge of the course {course}",
}


def courses(room: Room) -> list[str]:
    """The ids of the room's courses, whether or not their content can be read just now."""
    folders = (path.parent.name for path in room.courses.glob("*/course.yml"))
    return sorted(name for name in folders if COURSE_ID.match(name))


def groups(account: Account) -> list[str]:
    """The hub groups that somebody is in: nbgrader's two names per course, `teach-…`, and the operators'."""
    found = [f"{kind}-{course}" for course, role in account.roles.items() for kind in _GROUPS[role]]
    return found + [OPERATORS] * account.operator


def scope(power: str, course: str) -> str:
    """The custom scope of a power ("learn", "assist", "teach") in a course."""
    return f"custom:machineroom:{power}:{course}"


def scopes(course_ids: list[str]) -> dict[str, dict[str, str]]:
    """Our scopes, for `c.JupyterHub.custom_scopes`."""
    found = {
        scope(power, course): {"description": text.format(course=course)}
        for course in course_ids
        for power, text in _MEANS.items()
    }
    return {OPERATE: {"description": "Operate this Machineroom"}, **found}


def roles(course_ids: list[str]) -> list[dict[str, Any]]:
    """The roles that give groups their scopes, for `c.JupyterHub.load_roles`."""
    found = [
        {
            "name": f"{kind}-{course}",
            "description": f"What the group {kind}-{course} may do",
            "scopes": [ACCESS, *(scope(power, course) for power in powers)],
            "groups": [f"{kind}-{course}"],
        }
        for course in course_ids
        for kind, powers in _AUTHORITY.items()
    ]
    operator = {
        "name": OPERATORS,
        "description": "What operators may do with the service, beside what every admin may",
        "scopes": [ACCESS, OPERATE],
        "groups": [OPERATORS],
    }
    return [operator, *found]


def server_token_scopes(course_ids: list[str]) -> list[str]:
    """What a workspace's JUPYTERHUB_API_TOKEN asks for; it gets what its user holds of this.

    `operate` is left out: notebooks run other people's code, and no notebook operates the room.
    """
    ours = [scope(power, course) for course in course_ids for power in _MEANS]
    return ["users:activity!user", "access:servers!server", "read:users!user", ACCESS, *ours]


class PasswordAuthenticator(Authenticator):
    """Logs in the accounts of the room, with argon2, and keeps guessers slow.

    There is no sign-up: an operator or a roster adds accounts. Groups follow the enrolments at each
    login and, while somebody is logged in, at each refresh.
    """

    room = Instance(Room, args=(), help="The installation whose accounts may log in.")

    proxies = Set(
        Unicode(),
        {"127.0.0.1"},
        config=True,
        help="""
        Addresses from which the proxy talks to the hub.

        Only a request from one of these is believed when it says, by `X-Forwarded-For`, whom it is
        made for; anybody else (such as a workspace, which can reach the hub directly) is taken to be
        the address it comes from, so that nobody can guess passwords under many addresses.
        """,
    )

    FROM_PAIR = Allowance(free=5, leak=60)
    FROM_ADDRESS = Allowance(free=60, leak=5)
    FOR_NAME = Allowance(free=60, leak=10)
    FROM_BROWSER = Allowance(free=10, leak=30)
    """Wrong passwords that are free: for one name from one address; from one address (a classroom may
    share one); for one name from everywhere; and from a browser that has logged in to this name before.
    Such a browser is counted on its own, so a stranger's guessing never slows it down."""

    COOKIE = "machineroom-browser"

    username_pattern = Unicode(accounts.NAME_PATTERN, config=True, help="What user names look like.")
    manage_groups = Bool(True, config=True, help="Groups follow the enrolments.")
    allow_all = Bool(
        True, config=True, help="Whom `authenticate` lets through is allowed: it knows the accounts."
    )
    auth_refresh_age = Integer(
        60, config=True, help="Seconds until a change of somebody's account takes effect."
    )
    auth_refresh_strict = Bool(
        True, config=True, help="Refuse the tokens, too, of those who may not log in any more."
    )
    refresh_pre_spawn = Bool(True, config=True, help="Look at the account again before a server starts.")

    @default("allowed_users")
    def _every_account(self) -> set[str]:
        # the hub makes users of them when it starts, so that tokens can be made before a first login
        return {account.name for account in accounts.listing(self.room)}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._throttle = Throttle()
        # argon2 takes 64 MB and a CPU: two at a time are enough for any class
        self._executor = ThreadPoolExecutor(2, thread_name_prefix="passwords")

    async def authenticate(self, handler: RequestHandler, data: dict[str, str]) -> dict[str, Any] | None:
        """The account's name, groups and whether it is an admin; None for a wrong name or password."""
        if handler.request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            # a user's page, at a host name below ours, can plant the cookie that forms are told by
            raise web.HTTPError(403, "This login was sent by another site's page. Log in from our own.")
        name = self.normalize_username(data.get("username", ""))
        keys = self._keys(handler, name)
        seconds = self._throttle.wait(keys)
        if seconds > 0:
            raise web.HTTPError(
                429,
                f"There were many wrong passwords just now. Wait {seconds:.0f} s and try again: "
                "until then no password is looked at, right or wrong.",
            )
        self._throttle.count(keys)
        account = await self.in_thread(accounts.verify, self.room, name, data.get("password", ""))
        if account is None:
            return None
        self._throttle.take_back(keys)
        handler.set_signed_cookie(
            self.COOKIE,
            name,
            expires_days=365,
            path=handler.hub.base_url,  # type: ignore[attr-defined]
            httponly=True,
            samesite="Lax",
            secure=handler.request.protocol == "https",
        )
        return self.model(account)

    async def refresh_user(
        self,
        user: Any,
        handler: RequestHandler | None = None,  # noqa: ARG002
    ) -> bool | dict[str, Any]:
        """Follow the account: groups as enrolled, and out with those who may not log in any more."""
        account = await self.in_thread(accounts.get, self.room, user.name)
        return self.model(account) if account is not None and account.active else False

    def add_user(self, user: Any) -> None:
        """Called for every user when the hub starts, and for new ones: groups are right before any login."""
        super().add_user(user)
        account = accounts.get(self.room, user.name)
        orm_user = getattr(user, "orm_user", user)
        session: Any = object_session(orm_user)
        orm_user.groups = [_group(session, name) for name in (groups(account) if account else [])]
        session.commit()

    def _keys(self, handler: RequestHandler, name: str) -> dict[str, Allowance]:
        known = handler.get_signed_cookie(self.COOKIE, max_age_days=365)
        if known == name.encode() and known:
            # the value holds the time at which it was made: one browser's counter each
            return {f"browser {handler.get_cookie(self.COOKIE)}": self.FROM_BROWSER}
        address = self.address_of(handler)
        return {
            f"pair {address} {name}": self.FROM_PAIR,
            f"address {address}": self.FROM_ADDRESS,
            f"name {name}": self.FOR_NAME,
        }

    def address_of(self, handler: RequestHandler) -> str:
        """Where the request really comes from; `remote_ip` would believe anybody's X-Real-Ip."""
        address = str(handler.request.connection.context.address[0])  # type: ignore[union-attr]
        for hop in reversed(handler.request.headers.get("X-Forwarded-For", "").split(",")):
            if address not in self.proxies or not hop.strip():
                break
            address = hop.strip()
        return address

    def get_handlers(self, app: Any) -> list[tuple[Any, ...]]:
        """The hub's login page, the one behind login links, and those of workshops."""
        return [*super().get_handlers(app), (r"/welcome", WelcomeHandler), *join.handlers()]

    @staticmethod
    def model(account: Account) -> dict[str, Any]:
        """What the hub wants to know of somebody who has just proved who they are."""
        return {"name": account.name, "admin": account.operator, "groups": groups(account)}

    async def in_thread(self, function: Any, *args: Any) -> Any:
        """Call what takes CPU or waits for the database, beside the hub's loop."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)


def _group(session: Any, name: str) -> orm.Group:
    group = orm.Group.find(session, name)
    if group is None:
        group = orm.Group(name=name)
        session.add(group)
        session.flush()
    return group
