"""The page in a browser, where Chromium is installed: nothing runs, nothing is refused, all of it is there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from strands_persql.administration.viewer import session_html

from .pages import parse
from .sessions import (
    Sessions,
    assistant,
    png,
    result,
    use,
    user,
)
from .test_safety import HOSTILE, everywhere

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
]  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


def visit(html: str, folder: Path) -> tuple[str, list[str]]:
    """Open a page; return the document as the browser has it, and what it said on its console."""
    file = folder / "page.html"
    file.write_text(html, encoding="utf-8")
    command = [str(CHROMIUM), *QUIET, f"--user-data-dir={folder / 'profile'}", "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def test_hostile_session(tmp_path: Path) -> None:
    """All hostile texts at once: the browser makes no element of them, runs nothing and reports nothing."""
    text = "".join(HOSTILE)
    html = session_html(everywhere(text), text)
    dom, console = visit(html, tmp_path)
    page, sent = parse(dom), parse(html)
    assert console == []
    assert page.one("title").text == f"Session {text}"
    assert sorted(each.tag for each in page.all()) == sorted(each.tag for each in sent.all())
    assert page.one("main").words == sent.one("main").words
    assert text in page.one("main").text


def test_images_and_style_are_let_through(tmp_path: Path) -> None:
    """The page's own style and images pass its policy, and a style or script that is not its own is refused."""
    image = {"image": {"format": "png", "source": {"bytes": png(8, 8)}}}
    messages = [user("draw", image), assistant(use("draw", "t1")), user(result("t1", image))]
    html = session_html(Sessions({"default": messages}), "user-42")
    assert visit(html, tmp_path)[1] == []
    foreign = html.replace("</main>", "<style>body{color:red}</style><script>document.title='ran'</script></main>")
    dom, console = visit(foreign, tmp_path)
    assert sum("Content Security Policy" in line for line in console) == 2
    assert parse(dom.replace("<script>document.title='ran'</script>", "")).one("title").text == "Session user-42"
