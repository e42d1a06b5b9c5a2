"""What a student's notebook displays, made harmless for the browser of whoever grades it.

nbconvert's own filter turns tables, headings and our reports into visible tags; this one keeps all that
cannot run, load or cover anything. nbgrader's templates do not clean Markdown, but strip its prefixes.
"""

import bleach
from bleach.css_sanitizer import ALLOWED_CSS_PROPERTIES, CSSSanitizer
from nbconvert.filters import strip_files_prefix

_TAGS = {
    *bleach.ALLOWED_TAGS,
    *("div", "span", "p", "br", "hr", "pre", "section", "details", "summary", "progress", "img", "figure"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "dl", "dt", "dd", "sub", "sup", "del", "ins", "kbd", "samp", "s"),
    *("table", "caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "th", "td"),
}
_ATTRIBUTES = {
    **bleach.ALLOWED_ATTRIBUTES,
    "*": ["class", "id", "style", "title", "role", "aria-label", "aria-hidden"],
    "a": ["href", "title"],
    "img": ["src", "alt", "width", "height"],
    "progress": ["value", "max"],
    "td": ["colspan", "rowspan"],
    "th": ["colspan", "rowspan", "scope"],
}
_STYLES = CSSSanitizer(
    allowed_css_properties=[
        *ALLOWED_CSS_PROPERTIES,
        *("align-items", "border", "border-radius", "border-top", "flex", "flex-wrap", "gap", "list-style"),
        *("margin", "max-width", "min-width", "opacity", "overflow-wrap", "padding"),
    ]
)
_PROTOCOLS = {*bleach.ALLOWED_PROTOCOLS, "data"}


def clean_html(text: str | bytes) -> str:
    """`text` as HTML without scripts, frames, forms and foreign styles."""
    return bleach.clean(
        text.decode() if isinstance(text, bytes) else str(text),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        css_sanitizer=_STYLES,
        protocols=_PROTOCOLS,
    )


def clean_markdown(html: str) -> str:
    """nbconvert's filter `strip_files_prefix`, which follows every rendering of Markdown, and clean too."""
    return clean_html(strip_files_prefix(html))
