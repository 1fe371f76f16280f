"""The live view's task: it shows the session until cancelled, on a terminal only."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
import trio
from rich.console import Console, RenderableType
from trio.testing import MockClock
from view_help import some_stats

from kalshi_trio.observe.console import keep_showing, live_view
from kalshi_trio.observe.picture import Bound
from kalshi_trio.observe.terminal import Terminal


class FakeScreen:
    """Remembers what was shown, as text, and when."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, str]] = []
        self.closed = False

    def show(self, picture: RenderableType) -> None:
        file = io.StringIO()
        Console(file=file, width=100, height=40).print(picture)
        self.shown.append((trio.current_time(), file.getvalue()))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def screen() -> Iterator[FakeScreen]:
    fake = FakeScreen()
    yield fake
    assert fake.closed


async def test_a_view_is_drawn_four_times_a_second(autojump_clock: MockClock, screen: FakeScreen) -> None:
    with trio.move_on_after(1.1):
        await keep_showing(screen, some_stats(), trio.Event(), None)

    times = [at - screen.shown[0][0] for at, _ in screen.shown]
    assert times == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])


async def test_the_view_follows_the_session(autojump_clock: MockClock, screen: FakeScreen) -> None:
    stats, stopping = some_stats(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_showing, screen, stats, stopping, Bound(seconds=20))
        await trio.sleep(4.9)
        stats.feed.received += 490
        stopping.set()
        await trio.sleep(0.2)
        nursery.cancel_scope.cancel(reason="the test is over")

    first, last = screen.shown[0][1], screen.shown[-1][1]
    assert "received 100,271" in first
    assert "received 100,761" in last
    assert "0:00:05" in last
    assert "25%  15s left" in last
    assert "98 msg/s" in last or "mean 98" in last
    assert "stopping" in last
    assert "stopping" not in first


async def test_where_nobody_looks_nothing_is_drawn(capfd: pytest.CaptureFixture[str]) -> None:
    await live_view(some_stats(), console=Terminal(), stopping=trio.Event())

    assert capfd.readouterr().err == ""


async def test_colours_asked_for_do_not_make_a_file_a_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    await live_view(some_stats(), console=Terminal(), stopping=trio.Event())

    assert capfd.readouterr().err == ""
