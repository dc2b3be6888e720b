"""The page in a real browser: by keyboard, by touch, on a desk and on a phone."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.study.analysis import analyse
from tests.study.studies import TRIALS, ask, links, prefers_red, served, told

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest_plugins = ["tests.browser"]
ARROWS = {"left": "ArrowLeft", "right": "ArrowRight"}
Open = Callable[..., "Page"]


@pytest.fixture
def address(browser: "Browser", study: Path) -> Iterator[str]:
    with served(study) as (found, _):
        yield found


@pytest.fixture
def open_page(browser: "Browser") -> Iterator[Open]:
    """A page of a browser that knows nothing yet; its script must not fail."""
    failures: list[str] = []
    contexts = []

    def opened(url: str, **settings: Any) -> "Page":
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert failures == []


def wanted(link: str) -> str:
    """The side that a rater who likes red wants next."""
    return prefers_red(told(f"{link}next"), lambda image: ask(f"{link}image/{image}")[1])


def at_trial(page: "Page", number: int) -> None:
    page.wait_for_selector(f"text='{number} of {TRIALS}'")


def test_raters_at_a_desk_and_on_a_phone_stop_and_go_on_and_are_counted(
    open_page: Open, address: str, study: Path
) -> None:
    desk, phone = (address + link for link in links(study, 2))
    page = open_page(desk)
    page.click("text=I agree")
    for number in range(1, TRIALS + 1):
        at_trial(page, number)
        for _ in range(2):
            page.keyboard.press(ARROWS[wanted(desk)])
        page.wait_for_selector("#next:enabled")
        page.keyboard.press("Enter")
    page.wait_for_selector("text=Thank you")
    small = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = open_page(phone, **small)
    page.tap("text=I agree")
    for number in range(1, TRIALS + 1):
        at_trial(page, number)
        if number == 3:
            page = open_page(phone, **small)
            at_trial(page, number)
        side = wanted(phone)
        for name in ("fidelity", "alignment"):
            page.locator(f"input[name={name}][value={side}]").tap()
        page.tap("#next:enabled")
    page.wait_for_selector("text=Thank you")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    outcome = analyse(study)
    assert (outcome.raters, outcome.excluded, outcome.answered) == (2, 0, 2 * TRIALS)
    assert {one.win.share for one in outcome.questions} == {1}


def test_next_waits_for_every_question_and_a_lost_server_loses_no_choice(
    open_page: Open, address: str, study: Path
) -> None:
    (link,) = links(study, 1)
    page = open_page(address + link)
    page.click("text=I agree")
    at_trial(page, 1)
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelector('#right').complete")
    assert page.is_disabled("#next")
    page.keyboard.press("ArrowDown")
    page.context.set_offline(True)
    page.click("#next:enabled")
    page.wait_for_selector("text=Your choices are still here")
    assert page.locator("input:checked").count() == 2
    page.context.set_offline(False)
    page.click("#next:enabled")
    at_trial(page, 2)
    assert page.is_hidden("#problem")
    assert page.locator("input:checked").count() == 0


def test_an_answer_in_another_window_stands_and_both_go_on(
    open_page: Open, address: str, study: Path
) -> None:
    (link,) = links(study, 1)
    told(f"{address}{link}consent", {})
    windows = [open_page(address + link) for _ in range(2)]
    for window in windows:
        at_trial(window, 1)
    for window, key in zip(windows, ("ArrowLeft", "ArrowRight"), strict=True):
        for _ in range(2):
            window.keyboard.press(key)
        window.click("#next:enabled")
        at_trial(window, 2)
    with closing(sqlite3.connect(study)) as database:
        chosen = database.execute("SELECT choice FROM answer").fetchall()
    assert chosen == [("left",)] * 2, "what the first window said"


def test_the_page_names_no_method(open_page: Open, address: str, study: Path) -> None:
    (link,) = links(study, 1)
    told(f"{address}{link}consent", {})
    page = open_page(address + link)
    at_trial(page, 1)
    assert "method" not in page.content()
