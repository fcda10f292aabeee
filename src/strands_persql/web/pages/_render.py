"""Pages out of templates. Whatever is stored is text in them: jinja2 escapes every value."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.responses import HTMLResponse, Response

from ...administration.viewer.parts import page_environment, page_style, visible
from ._guard import CSRF, LOGGED_IN

if TYPE_CHECKING:
    from starlette.requests import Request

_FOLDER = resources.files("strands_persql.web.pages")


def address(path: str, **names: str | int | None) -> str:
    """The address of a page; names that are None or empty are left out."""
    query = urlencode({name: value for name, value in names.items() if value not in (None, "")}, errors="replace")
    return f"{path}?{query}" if query else path


def line(text: str) -> str:
    """A text as a field of a form can hold it and sends it back, with signs for line ends and controls."""
    return str(visible(text)).replace("\r", "\u240d").replace("\n", "\u240a")


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A page, made of a template."""
    made = page_environment(_template).get_template(template)
    scope = request.scope
    here = "" if request.query_params.get("id") else request.url.path
    common = {"csrf": scope[CSRF], "logged_in": scope[LOGGED_IN], "here": here, "address": address, "line": line}
    text = made.render(**common, **values)
    return HTMLResponse(text.encode("utf-8", "replace"), status)


@cache
def static(name: str) -> bytes | None:
    """A file that pages refer to, as bytes; None where there is none."""
    if name == "page.css":
        return page_style().encode()
    return (_FOLDER / "static" / name).read_bytes() if name in ("web.css", "live.js") else None


def _template(name: str) -> str | None:
    file = _FOLDER / "templates" / name
    return file.read_text("utf-8") if file.is_file() else None
