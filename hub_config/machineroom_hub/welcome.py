"""The page behind a login link: whoever opens it chooses a password and is in."""

from typing import Any

from jupyterhub.handlers import BaseHandler

from . import links
from .accounts import MIN_PASSWORD, Account, AccountError

SPENT = (
    "This link has been used already, was replaced by a newer one, or is too old. "
    "If you have chosen a password, log in with it; if not, ask your teacher for a new link."
)


class WelcomeHandler(BaseHandler):
    """`/hub/welcome?token=…`. Opening it changes nothing: mail programs open links by themselves."""

    async def get(self) -> None:
        """Ask for a password."""
        token = self.get_query_argument("token", "")
        account = await self._in_thread(links.owner, token)
        if account is None:
            return await self._refuse()
        return await self._show(account, token)

    async def post(self) -> None:
        """Take the password, use the link up, and log its owner in."""
        token, password = (self.get_body_argument(name, "", strip=False) for name in ("token", "password"))
        account = await self._in_thread(links.owner, token)
        if account is None:
            return await self._refuse()
        if password != self.get_body_argument("again", "", strip=False):
            return await self._show(account, token, "These were two different passwords. Type it again.")
        try:
            account = await self._in_thread(links.use, token, password)
        except AccountError as error:
            return await self._show(account, token, f"{str(error).capitalize()}.")
        if account is None:
            return await self._refuse()
        user = await self.auth_to_user(self.authenticator.model(account))
        self.set_login_cookie(user)
        self.log.info("User logged in by link: %s", user.name)
        self.redirect(self.get_next_url(user))
        return None

    async def _refuse(self) -> None:
        self.set_status(410)  # and no HTTPError: it would be logged with the link
        page = await self.render_template("error.html", status_code=410, status_message="Gone", message=SPENT)
        self.finish(page)

    async def _show(self, account: Account, token: str, problem: str = "") -> None:
        self.set_status(400 if problem else 200)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        page = await self.render_template(
            "welcome.html",
            user_name=account.name,
            display_name=account.display_name or account.name,
            token=token,
            problem=problem,
            least=MIN_PASSWORD,
        )
        self.finish(page)

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        return await self.authenticator.in_thread(function, self.authenticator.room, *arguments)
