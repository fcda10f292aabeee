"""The page itself: the template filled in, piece by piece. jinja2 is imported when a page is made, not before."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Protocol

from ._filters import FILTERS
from ._session import SessionReader, session_view
from ._text import visible

if TYPE_CHECKING:
    from jinja2 import Environment, Template

_WRITE = 64  # pieces of the template that are written at once


class _Writable(Protocol):
    def write(self, text: str, /) -> Any: ...


def session_html(sessions: SessionReader, session_id: str) -> str:
    """A session as one self-contained page.

    Args:
        sessions: `PerSQLSessions`; the session is read in pages.
        session_id: The session.

    Returns:
        The page, to be stored as UTF-8.

    Raises:
        SessionException: There is no such session.
        SessionDataError: A stored row can't be read.
        ModuleNotFoundError: jinja2 or markdown-it-py is missing; the error names the extra that brings it.
    """
    return "".join(_pieces(sessions, session_id))


def write_session_html(sessions: SessionReader, session_id: str, file: _Writable) -> None:
    """Write a session as one self-contained page; its messages are read and written page by page.

    Nothing is written before the session is found. Where a later read fails, `file` holds a part of the page.

    Args:
        sessions: `PerSQLSessions`.
        session_id: The session.
        file: A text file, open for writing as UTF-8.

    Raises:
        SessionException: There is no such session.
        SessionDataError: A stored row can't be read.
        ModuleNotFoundError: jinja2 or markdown-it-py is missing; the error names the extra that brings it.
    """
    for piece in _pieces(sessions, session_id):
        file.write(piece)


def _pieces(sessions: SessionReader, session_id: str) -> Iterator[str]:
    template = _template()
    view = session_view(sessions, session_id)
    style = page_style()
    # The policy names the hash of our own style, so that no other style counts, as it would with 'unsafe-inline'.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    stream = template.stream(session=view, style=style, style_hash=f"sha256-{digest}")
    stream.enable_buffering(_WRITE)
    yield from stream


def _template() -> Template:
    return page_environment().get_template("page.html.jinja")


def page_environment(load: Callable[[str], str | None] | None = None) -> Environment:
    """What makes pages of templates: every value is escaped, and shows each character that is in it.

    Args:
        load: Finds templates of one's own, given their names; None where there is none, and for the viewer's own.

    Raises:
        ModuleNotFoundError: jinja2 or markdown-it-py is missing; the error names the extra that brings it.
    """
    try:
        import jinja2  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import markdown_it  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ModuleNotFoundError as error:
        if error.name not in ("jinja2", "markdown_it"):
            raise
        raise ModuleNotFoundError(
            f"the page needs {error.name}; install the extra: pip install 'strands-persql[cli]'", name=error.name
        ) from error
    return _environment(load)


@cache  # compiled once
def _environment(load: Callable[[str], str | None] | None) -> Environment:
    import jinja2

    own = [] if load is None else [jinja2.FunctionLoader(load)]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([*own, jinja2.FunctionLoader(_resource)]),
        autoescape=True,  # for every template, whatever its name
        finalize=visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    return environment


def page_style() -> str:
    """The style sheet of pages."""
    return _resource("page.css")


def _resource(name: str) -> str:
    """A file of the package. Line ends are the browser's own, since the hash of the style is taken over them."""
    folder = resources.files("strands_persql.administration.viewer") / "templates"
    return (folder / name).read_text(encoding="utf-8").replace("\r\n", "\n")
