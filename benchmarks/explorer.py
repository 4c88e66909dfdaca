"""How long a report with many synthetic images takes to open, and the likeness explorer to answer a slider.

    python benchmarks/explorer.py [--images 4000] [--openings 5] [--moves 60] [--browser /usr/bin/chromium]

The run folder is made up of simulated chests that are really judged (tests/report/explored_runs.py), half of them of
each class. Time on the clock is what a reader waits for; time of the page's own thread leaves out what other
processes take.
"""

import argparse
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import CDPSession, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "report"))

from explored_runs import explored_sound_run

from healthgan.report import build

OPENED = """async () => {
  await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
  return performance.now();
}"""
MOVE = """async ([number, moves]) => {
  const end = document.querySelector(`#explorer [data-part="${number % 2 ? "high" : "low"}"]`);
  const [least, most] = [Number(end.min), Number(end.max)], way = number / (2 * moves);
  const start = performance.now();
  end.value = Math.round(least + (most - least) * (number % 2 ? 1 - way : way));
  end.dispatchEvent(new Event("input", { bubbles: true }));
  document.body.getBoundingClientRect();
  const answered = performance.now() - start;
  await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
  return [answered, performance.now() - start];
}"""


def thread_time(session: CDPSession) -> float:
    """Milliseconds of the page's thread so far."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1000 * next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")


def told(name: str, values: list[float]) -> None:
    """Median, least and greatest."""
    print(
        f"{name}: median {statistics.median(values):.1f} ms ({min(values):.1f} to {max(values):.1f}, n = {len(values)})"
    )


def measure(page: Page, address: str, openings: int, moves: int) -> None:
    """Open the page again and again, then move both ends in turn."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    clock, thread = [], []
    for _ in range(openings):
        page.goto("about:blank")
        before = thread_time(session)
        page.goto(address, wait_until="commit")
        page.wait_for_selector("#explorer[data-ready]")
        clock.append(page.evaluate(OPENED))
        thread.append(thread_time(session) - before)
    told("open, on the clock", clock)
    told("open, the page's thread", thread)
    before = thread_time(session)
    found = [page.evaluate(MOVE, [number, moves]) for number in range(moves)]
    told("slider, until everything is laid out anew", [answered for answered, _ in found])
    told("slider, until it is on the screen", [drawn for _, drawn in found])
    print(
        f"slider, the page's thread: {(thread_time(session) - before) / moves:.1f} ms a move, painting included"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--openings", type=int, default=5)
    parser.add_argument("--moves", type=int, default=60)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        run = explored_sound_run(Path(folder) / "run", count=asked.images // 2)
        start = time.process_time()
        path = build(run.path)
        print(
            f"the report: {time.process_time() - start:.1f} s of processor, {path.stat().st_size / 1e6:.2f} MB"
        )
        browser = playwright.chromium.launch(executable_path=asked.browser, args=["--no-sandbox"])
        print(
            f"{platform.processor() or platform.machine()}, Chromium {browser.version}, {asked.images} images of 28×28"
        )
        measure(
            browser.new_page(viewport={"width": 1400, "height": 900}),
            path.as_uri(),
            asked.openings,
            asked.moves,
        )
        browser.close()


if __name__ == "__main__":
    main()
