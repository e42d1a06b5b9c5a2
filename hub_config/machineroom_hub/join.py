"""The pages of workshops: join with a code, wait for the start or for a seat, and the way back."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import segno
from jupyterhub.handlers import BaseHandler
from tornado import web

from . import accounts
from .throttle import Allowance, Throttle
from .workshops import WorkshopError, codes, desk, plan
from .workshops.desk import Standing
from .workshops.models import Phase, Workshop

WRONG = "No workshop has this code. Look at it once more: it is eight letters and digits, such as 7Q4K-M2XD."
GONE = (
    "This way back leads nowhere any more: the workshop's machines and files have been removed, as its page "
    "said, or a part of the link is missing."
)
FROM_ADDRESS = Allowance(free=60, leak=5)
"""Wrong codes that are free for one address: a whole class may share one."""


def handlers() -> list[tuple[str, type[BaseHandler], dict[str, Any]]]:
    """The pages, for the hub; they count wrong codes together."""
    shared = {"throttle": Throttle()}
    pages = {
        "": JoinHandler,
        "/line": LineHandler,
        "/enter": EnterHandler,
        "/back": BackHandler,
        "/poster": PosterHandler,
    }
    return [(f"/join{path}", page, shared) for path, page in pages.items()]


class _Page(BaseHandler):
    """What the pages have in common."""

    def initialize(self, throttle: Throttle) -> None:
        """Tornado's constructor."""
        self._throttle = throttle

    async def in_thread(self, function: Any, *arguments: Any) -> Any:
        """Call what waits for the database, with our room before its arguments."""
        return await self.authenticator.in_thread(function, self.authenticator.room, *arguments)

    @property
    def token(self) -> str:
        """The way back that the request shows: in its form, its address, or its cookie."""
        shown = self.get_argument("token", "", strip=True)
        return shown or self.get_cookie(self._cookie, "") or ""

    async def standing(self) -> Standing | None:
        """How the guest stands who asks; None for somebody else."""
        found: Standing | None = await self.in_thread(desk.look, self.token)
        return found

    async def workshop_of(self, code: str) -> Workshop | None:
        """The workshop with this code. Wrong ones are counted. Raises HTTPError when there were many."""
        keys = {f"join {self.authenticator.address_of(self)}": FROM_ADDRESS}
        seconds = self._throttle.wait(keys)
        if seconds > 0:
            raise web.HTTPError(
                429,
                f"There were many wrong codes from your network just now. Wait {seconds:.0f} s and try "
                "again: until then no code is looked at, right or wrong.",
            )
        self._throttle.count(keys)
        found: Workshop | None = await self.in_thread(desk.find, code)
        if found is not None:
            self._throttle.take_back(keys)
        return found

    def refuse_other_sites(self) -> None:
        """A user's page, at a host name below ours, can plant the cookie that forms are told by."""
        if self.request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise web.HTTPError(403, "This form was sent by another site's page. Open our own.")

    async def remember(self, standing: Standing) -> None:
        """Let this browser come back by itself."""
        self.set_cookie(
            self._cookie,
            codes.way_back(self.authenticator.room, standing.guest.id),
            expires=standing.workshop.removes,
            **self._cookie_options,
        )

    async def enter(self, standing: Standing) -> None:
        """Log the guest in at their seat, given now if one is free; else let them wait."""
        while seat := await self.in_thread(desk.claim, standing.guest.id):
            if standing.seat is not None or await self._stands(seat):
                break
            self.log.warning("Seat %s was broken when it was claimed; another takes its place", seat)
            await self.in_thread(desk.replace, standing.guest.id, "its workspace had ended")
        await self.remember(standing)
        if not seat:
            return self.redirect(f"{self.hub.base_url}join")
        account = await self.in_thread(accounts.get, seat)
        user = await self.auth_to_user(self.authenticator.model(account))
        self.set_login_cookie(user)
        self.log.info("Guest took seat %s", seat)
        return self.redirect(f"{self.hub.base_url}spawn")

    async def _stands(self, seat: str) -> bool:
        """Whether a seat that is thought to be ready still is; one that is not yet started is no harm."""
        user = self.find_user(seat)
        return user is None or not user.spawner.ready or await user.spawner.poll() is None

    async def page(self, template: str, /, *, status: int = 200, **content: Any) -> None:
        """Answer with a page that nobody keeps, and whose address nobody is told."""
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.finish(await self.render_template(template, **content))

    async def refuse(self, message: str) -> None:
        """Answer that there is nothing here; no HTTPError, which would be logged with the address."""
        await self.page("error.html", status=410, status_code=410, status_message="Gone", message=message)

    def address(self, page: str, **query: str) -> str:
        """The whole address of a page of ours, as this browser reaches it."""
        return f"{self.request.protocol}://{self.request.host}{self.hub.base_url}{page}?{urlencode(query)}"

    @property
    def _cookie(self) -> str:
        return f"{'__Host-' if self.authenticator.room.host_cookies else ''}machineroom-seat"

    @property
    def _cookie_options(self) -> dict[str, Any]:
        ours = self.authenticator.room.host_cookies
        return {
            "path": "/" if ours else self.hub.base_url,
            "httponly": True,
            "samesite": "Lax",
            "secure": ours or self.request.protocol == "https",
        }


class JoinHandler(_Page):
    """`/hub/join`: a name and a code; for who has given them, their place in line, or back to their seat."""

    async def get(self) -> None:
        """The form, the line, or the way back."""
        standing = await self.standing()
        if standing is None or self.get_query_argument("code", ""):
            return await self._show(self.get_query_argument("code", ""), standing=standing)
        if not standing.waiting:
            return self.redirect(f"{self.hub.base_url}join/back")
        return await self.page(
            "join_line.html",
            guest=standing.guest,
            workshop=standing.workshop,
            early=standing.workshop.phase is Phase.EARLY,
            words=desk.words(standing),
            **moments(standing.workshop),
        )

    async def post(self) -> None:
        """Take name and code, and let the guest in, or wait."""
        self.refuse_other_sites()
        code, typed = self.get_body_argument("code", ""), self.get_body_argument("name", "")
        try:
            name = plan.clean_name(typed)
        except WorkshopError as error:
            return await self._show(code, typed, str(error))
        workshop = await self.workshop_of(code)
        if workshop is None:
            return await self._show(code, typed, WRONG)
        if workshop.phase is Phase.OVER:
            return await self._show(
                code,
                typed,
                "This workshop is over. If you had a seat in it, open the way back that you noted down.",
            )
        standing = await self.standing()
        if (
            standing is None
            or standing.workshop.id != workshop.id
            or (standing.seat and standing.seat.retired)
        ):
            address = self.authenticator.address_of(self)
            guest = await self.in_thread(desk.arrive, workshop.id, name, address)
            token = codes.way_back(self.authenticator.room, guest.id)
            standing = await self.in_thread(desk.look, token)
        assert standing is not None
        return await self.enter(standing)

    async def _show(
        self, code: str, name: str = "", problem: str = "", standing: Standing | None = None
    ) -> None:
        user = self.current_user
        other = user.name if user and not (standing and standing.guest.seat == user.name) else ""
        await self.page(
            "join.html",
            status=400 if problem else 200,
            code=code[:40],
            typed=name[: 2 * plan.LONGEST_NAME],
            problem=problem,
            other=other,
            back=standing.guest.name if standing and (standing.seated or standing.waiting) else "",
        )


class LineHandler(_Page):
    """`/hub/join/line`: how far the line is, asked by the page of who waits. It changes nothing else."""

    async def get(self) -> None:
        """`go` says that there is something to go to: a seat, or the end."""
        standing: Standing | None = await self.in_thread(desk.wait, self.token)
        self.set_header("Cache-Control", "no-store")
        if standing is None:
            self.finish({"go": True, "words": GONE})
            return
        go = standing.next or not standing.waiting
        self.finish({"go": go, "words": desk.words(standing), **moments(standing.workshop)})


class EnterHandler(_Page):
    """`/hub/join/enter`: the guest whose cookie or way back this is goes to their seat."""

    async def post(self) -> None:
        """Go in, or back to where one waits."""
        self.refuse_other_sites()
        standing = await self.standing()
        if standing is None:
            return await self.refuse(GONE)
        if not (standing.seated or standing.waiting):
            return self.redirect(f"{self.hub.base_url}join/back?{urlencode({'token': self.token})}")
        return await self.enter(standing)


class BackHandler(_Page):
    """`/hub/join/back`: the way back to a seat. Opening it changes nothing: chats open links."""

    async def get(self) -> None:
        """Who one is here, what there is still to do, and until when."""
        standing = await self.standing()
        if standing is None or standing.workshop.phase is Phase.REMOVED:
            return await self.refuse(GONE)
        token = codes.way_back(self.authenticator.room, standing.guest.id)
        link = self.address("join/back", token=token)
        return await self.page(
            "join_back.html",
            guest=standing.guest,
            workshop=standing.workshop,
            token=token,
            takehome=f"/services/machineroom/takehome?{urlencode({'token': token})}",
            link=link,
            qr=picture(link),
            usable=standing.seated or standing.waiting,
            seat=standing.guest.seat or "",
            retired=bool(standing.seat and standing.seat.retired),
            over=standing.workshop.phase is Phase.OVER,
            **moments(standing.workshop),
        )


class PosterHandler(_Page):
    """`/hub/join/poster?code=…`: for the wall: code, address, QR code. Knowing the code is enough."""

    async def get(self) -> None:
        """The page to project or print."""
        code = self.get_query_argument("code", "")
        workshop = await self.workshop_of(code)
        if workshop is None:
            return await self.refuse(WRONG)
        right = codes.code(self.authenticator.room, workshop.id)
        link = self.address("join", code=right)
        return await self.page(
            "join_poster.html",
            workshop=workshop,
            code=right,
            address=link.partition("?")[0],
            qr=picture(link),
            **moments(workshop),
        )


def moments(workshop: Workshop) -> dict[str, Any]:
    """A workshop's times, for pages: they show them by the browser's clock."""
    return {name: _iso(getattr(workshop, name)) for name in ("starts", "ends", "removes")}


def picture(link: str) -> str:
    """The link as a QR code, in SVG."""
    return segno.make(link, error="m").svg_inline(scale=4, border=2, omitsize=True)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
