"""The auditor: whom it asks about, how often, and what it leaves in the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import pytest
import trio
from trio.testing import MockClock

from kalshi_trio.errors import RestError
from kalshi_trio.protocol.orderbooks import PATH
from kalshi_trio.rest import Reply
from kalshi_trio.tasks.auditor import LEAD_SECONDS, Auditor

MARKETS = tuple("ABCDEFG")


class FakeRest:
    """Answers with what `answers` holds, then with empty lists."""

    def __init__(self, *answers: Reply | Exception, pause: float = 0.0) -> None:
        self.answers = list(answers)
        self.pause = pause
        self.asked: list[tuple[float, list[str]]] = []
        self.closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.closed = True

    async def turn(self) -> None:
        await trio.sleep(self.pause)

    async def get(self, path: str, params: Sequence[tuple[str, str]]) -> Reply:
        assert path == PATH
        assert {name for name, _ in params} == {"tickers"}
        self.asked.append((trio.current_time(), [market for _, market in params]))
        await trio.sleep(0.05)
        answer = self.answers.pop(0) if self.answers else Reply(200, b"{}", 1, 2)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Audited:
    """An auditor between fakes; in the order of their names at first."""

    def __init__(self, rest: FakeRest, a_minute: int = 60, markets: Sequence[str] = MARKETS) -> None:
        self.rest = rest
        self.notes: list[tuple[float, dict[str, Any]]] = []
        self.broken: set[str] = set()
        self.room = trio.Event()
        self.room.set()
        self.auditor = Auditor(rest, a_minute, self._whole, self._note, self._room, random=lambda: 0.0)
        self._markets = markets

    def _whole(self) -> list[str]:
        return [market for market in self._markets if market not in self.broken]

    async def _room(self) -> None:
        await self.room.wait()

    def _note(self, event: dict[str, object]) -> None:
        self.notes.append((trio.current_time(), event))

    async def run(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.auditor.run()


async def test_a_request_is_a_record_before_it_is_sent_and_its_answer_another(autojump_clock: MockClock) -> None:
    audited = Audited(FakeRest(Reply(200, '{"é":1}'.encode(), 10, 20)))
    await audited.run(0.5)

    said = {"request": 1, "path": PATH, "markets": ["A"]}
    assert audited.notes == [
        (0, {"event": "asked", **said}),
        (
            LEAD_SECONDS + 0.05,
            {"event": "answered", "status": 200, "body": '{"é":1}', "sent": 10, "answered": 20, **said},
        ),
    ]
    assert audited.rest.asked == [(LEAD_SECONDS, ["A"])]
    assert audited.rest.closed


async def test_markets_take_turns(autojump_clock: MockClock) -> None:
    audited = Audited(FakeRest())
    await audited.run(13.9)

    assert [markets for _, markets in audited.rest.asked] == [[market] for market in MARKETS] * 2


@pytest.mark.parametrize(
    ("a_minute", "size", "every"), [(1, 1, 60), (60, 1, 1), (90, 2, 4 / 3), (600, 10, 1), (6000, 100, 1)]
)
async def test_so_many_markets_a_minute_in_at_most_one_request_a_second(
    a_minute: int, size: int, every: float, autojump_clock: MockClock
) -> None:
    audited = Audited(FakeRest(), a_minute, [f"KX-{number}" for number in range(300)])
    await audited.run(120 - 0.01)

    times = [at for at, _ in audited.rest.asked]
    assert times == pytest.approx([LEAD_SECONDS + every * number for number in range(len(times))])
    assert {len(markets) for _, markets in audited.rest.asked} == {size}
    assert sum(len(markets) for _, markets in audited.rest.asked) == 2 * a_minute


async def test_chance_decides_among_those_that_were_never_asked_about(autojump_clock: MockClock) -> None:
    audited = Audited(FakeRest())
    chances = iter([0.5, 0.4, 0.9, 0.1, 0.6, 0.7, 0.8])
    audited.auditor.random = lambda: next(chances, 0.5)
    await audited.run(7.9)

    asked = [market for _, (market,) in audited.rest.asked]
    assert asked[0] == "D"
    assert sorted(asked[:7]) == list(MARKETS)


async def test_no_more_markets_are_asked_about_than_there_are(autojump_clock: MockClock) -> None:
    audited = Audited(FakeRest(), 6000)
    await audited.run(1.9)

    assert [markets for _, markets in audited.rest.asked] == [list(MARKETS)] * 2


async def test_markets_without_a_whole_book_wait_for_it(autojump_clock: MockClock) -> None:
    audited = Audited(FakeRest())
    audited.broken = set(MARKETS)
    await audited.run(10)
    assert audited.notes == []

    audited.broken = {"A", "C"}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(audited.run, 30)
        await trio.sleep(10.5)
        assert Counter(market for _, (market,) in audited.rest.asked).keys() == set("BDEFG")
        audited.broken = set()
        await trio.sleep(2)
        assert [market for _, (market,) in audited.rest.asked][-2:] == ["A", "C"]


async def test_nothing_is_asked_while_the_journal_has_no_room_for_answers(autojump_clock: MockClock) -> None:
    audited = Audited(FakeRest())
    audited.room = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(audited.run, 4000)
        await trio.sleep(3600)
        assert (audited.notes, audited.rest.asked) == ([], [])

        audited.room.set()
        await trio.sleep(1.9)
        assert [markets for _, markets in audited.rest.asked][:2] == [["A"], ["B"]]
        nursery.cancel_scope.cancel(reason="seen")


async def test_failures_are_records_too_and_the_next_market_is_asked_about(autojump_clock: MockClock) -> None:
    audited = Audited(FakeRest(RestError("no route to host"), Reply(429, b'{"error":"\xff"}', 10, 20)))
    await audited.run(2.9)

    answered = [event for _, event in audited.notes if event["event"] == "answered"]
    assert [(e["request"], e["markets"], e["status"], e.get("error"), e.get("body")) for e in answered] == [
        (1, ["A"], None, "no route to host", None),
        (2, ["B"], 429, None, '{"error":"\ufffd"}'),
        (3, ["C"], 200, None, "{}"),
    ]


async def test_waiting_for_a_turn_is_no_part_of_the_window(autojump_clock: MockClock) -> None:
    audited = Audited(FakeRest(pause=7))
    await audited.run(7.4)

    assert [at for at, _ in audited.notes] == pytest.approx([7, 7 + LEAD_SECONDS + 0.05])


async def test_whatever_goes_wrong_ends_the_audits_and_nothing_else(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    audited = Audited(FakeRest(ZeroDivisionError("a bug")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(audited.auditor.run)
        await trio.sleep(100)

    assert len(audited.rest.asked) == 1
    assert "the recording goes on" in caplog.text
    assert "ZeroDivisionError: a bug" in caplog.text


async def test_it_can_be_cancelled_at_any_moment(autojump_clock: MockClock) -> None:
    for hundredths in range(200):
        audited = Audited(FakeRest())
        await audited.run(hundredths / 100)
        assert audited.rest.closed

    kinds = [event["event"] for _, event in audited.notes]
    assert kinds == ["asked", "answered"] * 2
