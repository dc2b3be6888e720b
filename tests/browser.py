"""A real browser for pages: Debian's Chromium, driven by Playwright. Without either, tests skip.

A test module that wants the fixture says ``pytest_plugins = ["tests.browser"]``.
"""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# Not for the whole session: while it lasts, Playwright's event loop lets no other one run.
@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium; every page of it starts without memory of another."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield launched
        launched.close()
