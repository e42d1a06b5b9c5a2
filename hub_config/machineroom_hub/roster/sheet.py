"""The page of login links that is printed, cut up and handed out."""

from collections.abc import Sequence
from pathlib import Path

import segno
from jinja2 import Environment, FileSystemLoader

from ..accounts import Account

_pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)


def handout(title: str, base: str, seats: Sequence[tuple[Account, str]], days: int) -> str:
    """The page, complete in itself: one card for each person and their link, with a QR code."""
    cards = [
        {
            "name": account.name,
            "display_name": account.display_name or account.name,
            "link": link,
            "code": segno.make(link, error="m").svg_inline(scale=3, border=0, omitsize=True),
        }
        for account, link in seats
    ]
    return _pages.get_template("sheet.html").render(title=title, base=base, cards=cards, days=days)
