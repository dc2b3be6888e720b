"""What a report of thousands of images costs to write, and how it opens and scrolls.

By hand: ``python -m tests.benchmarks.report``. Three made-up runs on every subject of the mini
world; the browser is Debian's Chromium without a window, which draws on the processor.
"""

import argparse
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from bench.report.write import write_report
from tests.benchmarks.scoring import say
from tests.browser import ARGUMENTS
from tests.report.runs import write_run

SCROLL = """async () => {
  const gaps = [];
  for (let last = performance.now(), y = 0; y < document.body.scrollHeight; y += 400) {
    scrollTo(0, y);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    gaps.push(now - last);
    last = now;
  }
  return gaps.sort((a, b) => a - b);
}"""
ORDER = """() => {
  const began = performance.now();
  document.getElementById("order").value = "disputed";
  arrange();
  document.body.offsetHeight;
  return performance.now() - began;
}"""


def write(folder: Path, side: int, seeds: int) -> Path:
    """The page of a report on three runs."""
    runs = [write_run(folder / n, n, subjects=48, seeds=seeds, side=side) for n in "abc"]
    began, spent = time.perf_counter(), time.process_time()
    page = write_report(runs, folder / "report")
    took = time.perf_counter() - began, time.process_time() - spent
    say("written", "{:.1f} s, {:.1f} s of processors".format(*took))
    return page


def look(page: Page, address: str) -> None:
    began = time.perf_counter()
    page.goto(address)
    say("opened", f"{time.perf_counter() - began:.2f} s")
    say("images on the page", str(page.locator("main img").count()))
    say("put in another order", f"{page.evaluate(ORDER):.0f} ms")
    gaps = page.evaluate(SCROLL)
    middle, worst = gaps[len(gaps) // 2], gaps[-1]
    say(f"{len(gaps)} steps of 400 px", f"median {middle:.0f} ms, worst {worst:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=4)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page = write(Path(folder), asked.side, asked.seeds)
        chromium = driver.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        look(chromium.new_page(), page.as_uri())
        chromium.close()


if __name__ == "__main__":
    main()
