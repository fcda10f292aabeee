"""The documentation of several versions as one site: how it is laid out, and the selector in its pages."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .pages import DOCS, ROOT

PAGE = """<!doctype html>
<html data-content_root="./"><head><meta charset="utf-8"><title>{name}</title>
<script data-version="{name}" src="_static/versions.js"></script></head>
<body><a class="sidebar-brand">strands-persql</a><article role="main"><h1>{name}</h1></article></body></html>
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of two releases and of what comes next, whose newest page the older release lacks."""
    folder = tmp_path_factory.mktemp("site")
    built: dict[str, Path] = {}
    for name in ("dev", "0.2.0", "0.1.0"):
        built[name] = folder / "built" / name
        (built[name] / "_static").mkdir(parents=True)
        shutil.copy(DOCS / "_static" / "versions.js", built[name] / "_static")
        for page in ("index.html", "durability.html", *(["encryption.html"] if name != "0.1.0" else [])):
            (built[name] / page).write_text(PAGE.format(name=name), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("site_of_docs", ROOT / "scripts" / "site.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.lay_out(folder / "site", built)
    return folder / "site"


def test_what_stands_where(site: Path) -> None:
    """Each version has its folder, the newest release is `latest`, and the first page leads there."""
    assert {path.name for path in site.iterdir() if path.is_dir()} == {"dev", "0.2.0", "0.1.0", "latest"}
    assert "<h1>0.2.0</h1>" in (site / "latest" / "index.html").read_text("utf-8")
    assert "latest/index.html" in (site / "index.html").read_text("utf-8")
    told = json.loads((site / "versions.js").read_text("utf-8").partition(" = ")[2].rstrip(";\n"))
    assert [each["name"] for each in told["versions"]] == ["dev", "0.2.0", "0.1.0"]
    assert told["versions"][2]["pages"] == ["durability.html", "index.html"]


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A page of Chromium's; without one the tests are skipped."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium here")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(60_000)  # on a machine that is busy
        yield page
        browser.close()


@pytest.mark.slow
def test_the_selector(site: Path, page: Any) -> None:
    """It shows the page's own version, and leads to the same page of another, or to its first page."""
    page.goto((site / "0.2.0" / "durability.html").as_uri())
    page.wait_for_selector(".versions select")
    labels = page.eval_on_selector_all(".versions option", "options => options.map(each => each.textContent)")
    assert labels == ["dev (not released)", "0.2.0 (newest)", "0.1.0"]
    assert page.eval_on_selector(".versions select", "select => select.selectedOptions[0].text") == "0.2.0 (newest)"
    assert not page.query_selector(".other-version")

    page.select_option(".versions select", label="0.1.0")
    page.wait_for_url("**/0.1.0/durability.html")
    page.goto((site / "dev" / "encryption.html").as_uri())
    page.wait_for_selector(".versions select")
    page.select_option(".versions select", label="0.1.0")
    page.wait_for_url("**/0.1.0/index.html")


@pytest.mark.slow
def test_older_pages_name_the_newest(site: Path, page: Any) -> None:
    """A line above the page leads to the same page of the newest release; `latest` needs none."""
    page.goto((site / "0.1.0" / "durability.html").as_uri())
    page.wait_for_selector(".other-version a")
    page.click(".other-version a")
    page.wait_for_url("**/0.2.0/durability.html")
    page.goto((site / "latest" / "durability.html").as_uri())
    page.wait_for_selector(".versions select")
    assert not page.query_selector(".other-version")
