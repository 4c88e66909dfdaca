"""How long a page keeps its own thread busy, told so that neither a slow machine nor a busy one decides a test."""

from collections.abc import Callable

from playwright.sync_api import CDPSession, Page

YARDSTICK = "() => { let sum = 0; for (let i = 0; i < 3e7; i++) sum = (sum * 31 + i) % 1000003; return sum; }"
USUAL = 0.16
"""Seconds of the page's thread that the yardstick takes on the machine that the promises were made on."""
TRIES = 5


class PageClock:
    """The processor time of a page's thread: scripts, styles, layout and painting, whatever other processes do."""

    def __init__(self, page: Page) -> None:
        self._page, self._session = page, page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent(self, act: Callable[[], object]) -> float:
        """Seconds that it takes to do something."""
        before = _now(self._session)
        act()
        return _now(self._session) - before

    def opening(self, selector: str) -> float:
        """Seconds that it takes to open the page in a tab of its own, until ``selector`` is there.

        A page that is opened anew in its tab may get another process, whose clock begins at nothing.
        """
        tab = self._page.context.new_page()
        session = tab.context.new_cdp_session(tab)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        tab.goto(self._page.url)
        tab.wait_for_selector(selector)
        seconds = _now(session)
        tab.close()
        return seconds

    def spent_and_allowed(self, measure: Callable[[], float], seconds: float) -> tuple[float, float]:
        """The least seconds of several tries, no more than needed, and those that it may take.

        Args:
            measure: does it and gives the seconds that it took; it is told to again and again.
            seconds: that it may take; as many times more as this machine needs for the yardstick.
        """
        spent = yardstick = float("inf")
        for _ in range(TRIES):
            yardstick = min(yardstick, self.spent(lambda: self._page.evaluate(YARDSTICK)))
            spent = min(spent, measure())
            allowed = seconds * max(1.0, yardstick / USUAL)
            if spent < allowed:
                break
        return spent, allowed


def _now(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")
