"""The site as a reader uses it, in a real browser and without a server."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.paths import datasets_folder
from bench.report.write import write_report
from bench.suites import freeze
from tests.report.runs import write_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest_plugins = ["tests.browser"]

MARKUP = 'a {} <img src=x onerror=alert(1)> </script><script>alert(2)</script> & "quotes"'
PLAIN = ("a {} on grass", "a {} in snow")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs whose prompts and options hold markup."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBJECTBENCH_HOME", str(folder / "home"))
        suite = folder / "home" / "suites" / "markup" / "1"
        shutil.copytree(datasets_folder() / "mini" / "1", suite)
        (suite / "digest.txt").unlink()
        (suite / "prompts_object.txt").write_text("\n".join((*PLAIN, MARKUP)) + "\n")
        (suite / "kinds.tsv").write_text(f"prompt\tkind\n{PLAIN[0]}\tplace\n{PLAIN[1]}\tweather\n")
        freeze(suite)
        runs = [
            write_run(folder / name, method, level, suite="markup@1", options={"text": text})
            for name, method, level, text in (
                ("a", "sfo", 0.5, "<b>bold</b>"),
                ("b", "sfo", 0.6, "none"),
                ("c", "sft-base", 0.4, "none"),
            )
        ]
        return write_report(runs, folder / "report")


@pytest.fixture
def page(browser: "Browser", site: Path) -> "Iterator[Page]":
    """The site, opened; whatever the browser complains of fails the test."""
    opened, complaints = browser.new_page(), list[str]()
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("requestfailed", lambda request: complaints.append(request.url))
    opened.on("dialog", lambda dialog: complaints.append(dialog.message))
    opened.goto(site.as_uri())
    yield opened
    opened.wait_for_load_state("networkidle")
    opened.close()
    assert complaints == []


def cards(page: "Page") -> list[dict[str, Any]]:
    """The cards that are shown, in order."""
    found: list[dict[str, Any]] = page.evaluate(
        "shown().map(({subject, template, place, images}) => ({subject, template, place, images}))"
    )
    return found


def front(page: "Page") -> str | None:
    """Which of two images is in front."""
    return page.locator("#lightbox").get_attribute("data-front")


def test_every_prompt_has_a_card_with_references_and_each_methods_image(page: "Page") -> None:
    assert page.locator(".card").count() == 2 * 3
    first = page.locator(".card").first
    assert first.locator(".references img").count() == 4
    assert first.locator("h3").all_inner_texts() == [
        "references",
        "sfo, text=<b>bold</b>",
        "sfo, text=none",
        "sft-base",
    ]
    assert first.locator("figcaption").first.inner_text().startswith("dino 0.")
    page.wait_for_function("document.querySelector('.card img').naturalWidth > 0")


def test_markup_is_text(page: "Page") -> None:
    shown = page.locator(".card small").nth(2).inner_text()
    assert shown == MARKUP.format("mug")
    assert page.locator("main b, header b, main script").count() == 0


def test_prompts_come_in_the_order_that_is_asked_for(page: "Page") -> None:
    def means(card: dict[str, Any]) -> list[float]:
        return [shots[0]["scores"][1] for shots in card["images"]]

    page.select_option("#metric", label="clip_t")
    told = {}
    for order in ("best", "worst", "disputed"):
        page.select_option("#order", order)
        told[order] = cards(page)
    averages = [sum(means(card)) for card in told["best"]]
    assert averages == sorted(averages, reverse=True)
    assert told["worst"] == told["best"][::-1]
    spreads = [max(means(card)) - min(means(card)) for card in told["disputed"]]
    assert spreads == sorted(spreads, reverse=True)


def test_the_best_score_of_a_prompt_stands_out(page: "Page") -> None:
    card = page.locator(".card").first
    best = card.locator(".best").all_inner_texts()
    scores = [text for text in card.locator("figcaption div").all_inner_texts() if "dino" in text]
    assert best == [max(scores)]


def test_filters_leave_what_is_asked_for(page: "Page") -> None:
    page.select_option("#subject", "car-001")
    assert {card["subject"] for card in cards(page)} == {"car-001"}
    page.select_option("#prompt", PLAIN[1])
    assert [card["template"] for card in cards(page)] == [PLAIN[1]]
    assert page.locator("#count").inner_text() == "1 of 6 prompts"
    page.select_option("#subject", "")
    page.select_option("#prompt", "")
    page.select_option("#kind", "weather")
    assert [card["template"] for card in cards(page)] == [PLAIN[1]] * 2
    page.select_option("#kind", "")
    page.fill("#search", "ON GRASS")
    assert [card["template"] for card in cards(page)] == [PLAIN[0]] * 2


def test_a_method_can_be_left_out(page: "Page") -> None:
    page.get_by_role("checkbox", name="sft-base").uncheck()
    assert page.locator("[data-method='2']:visible").count() == 0
    assert page.locator("[data-method='1']:visible").count() > 0


def test_the_lightbox_opens_turns_and_closes(page: "Page") -> None:
    page.locator(".card").nth(1).locator("[data-method='0'] button").click()
    caption = page.locator("#caption")
    assert caption.inner_text().startswith("sfo, text=<b>bold</b>: mug-000, a mug in snow")
    page.wait_for_function("document.getElementById('here').naturalWidth === 4")
    page.keyboard.press("ArrowRight")
    assert caption.inner_text().startswith("sfo, text=none")
    page.keyboard.press("k")
    assert caption.inner_text().startswith("sfo, text=none: mug-000, a mug on grass")
    page.keyboard.press("Escape")
    assert not page.locator("#lightbox").is_visible()


def test_two_methods_blink_at_the_same_prompt_until_they_are_swapped_by_hand(page: "Page") -> None:
    page.keyboard.press("j")
    page.keyboard.press("b")
    assert front(page) == "0"
    page.wait_for_function("document.getElementById('lightbox').dataset.front === '1'")
    page.wait_for_function("document.getElementById('lightbox').dataset.front === '0'")
    assert page.locator("#there").get_attribute("src") != page.locator("#here").get_attribute("src")
    page.keyboard.press(" ")
    held = front(page)
    page.wait_for_timeout(800)
    assert front(page) == held
    page.keyboard.press(" ")
    assert front(page) != held


def test_an_image_stays_where_it_is_when_the_two_are_swapped(page: "Page") -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("checkbox", name="sfo, text=none").uncheck()
    page.keyboard.press("j")
    page.keyboard.press("b")
    page.keyboard.press(" ")
    captions, places = [], []
    for _ in range(2):
        captions.append(page.locator("#caption").bounding_box())
        places.append(page.locator("#stage").bounding_box())
        page.keyboard.press(" ")
    assert places[0] == places[1]
    assert captions[0] != captions[1]


def test_keys_move_through_the_prompts_that_are_shown(page: "Page") -> None:
    page.fill("#search", "snow")
    page.keyboard.press("Escape")
    for _ in range(5):
        page.keyboard.press("j")
    assert page.locator("[aria-current] h2").inner_text().startswith("car-001 a car in snow")
    page.keyboard.press("k")
    assert page.locator("[aria-current] h2").inner_text().startswith("mug-000 a mug in snow")


class TestOnAPhone:
    @pytest.fixture(autouse=True)
    def narrow(self, page: "Page") -> None:
        page.wait_for_load_state("networkidle")  # a reload ends what is under way
        page.set_viewport_size({"width": 390, "height": 844})
        page.reload(wait_until="networkidle")

    def test_the_window_is_not_wider_than_the_page(self, page: "Page") -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390

    def test_all_methods_of_a_prompt_are_seen_without_scrolling_sideways(
        self, page: "Page"
    ) -> None:
        boxes = [one.bounding_box() for one in page.locator(".card").first.locator("img").all()]
        assert len(boxes) == 4 + 3
        assert all(box and box["x"] + box["width"] <= 390 for box in boxes)

    def test_the_slider_begins_at_the_size_that_is_shown(self, page: "Page") -> None:
        image = page.locator(".column[data-method] img").first.bounding_box()
        assert image and image["width"] == float(page.locator("#size").input_value()) == 104

    def test_a_row_keeps_its_name_while_its_numbers_are_scrolled(self, page: "Page") -> None:
        wide = page.locator("header .wide").first
        name = wide.locator("tbody td").first
        before = name.bounding_box()
        wide.evaluate("wide => wide.scrollBy(500, 0)")
        assert wide.evaluate("wide => wide.scrollLeft") > 0
        assert name.bounding_box() == before

    def test_buttons_are_large_enough_for_a_thumb(self, page: "Page") -> None:
        page.locator(".column[data-method] button").first.click()
        boxes = [one.bounding_box() for one in page.locator("dialog button, dialog select").all()]
        assert len(boxes) == 4
        assert all(box and min(box["width"], box["height"]) >= 32 for box in boxes)
