"""A market's book at any record or time of a session: against a plain dict, and with what is known of holes."""

from __future__ import annotations

import json
import os
import random
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
import recordings
import trio
from fed import A, B, delta, frame, snapshot
from recordings import Session
from test_checkpoints import eventful
from written import write

from kalshi_trio.errors import UsageError
from kalshi_trio.history.book.books import BookAt, Hole, SessionBooks, book_at
from kalshi_trio.history.times import Instant, at
from kalshi_trio.journal.index import read_index
from kalshi_trio.journal.writer import Journal
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.sequence import OWN_IDS

LEVEL = ["0.5000", "10.00"]
INSTANTS = 1_000
SEED = int(os.environ.get("KALSHI_SEED") or random.SystemRandom().randrange(10**6))
"""Another one each time; `KALSHI_SEED` repeats one that a failure has named."""


class Plain(NamedTuple):
    """A book as a plain dict has it; None: there is none to be trusted."""

    frame: int
    market: str
    sides: dict[str, dict[int, int]] | None


def units(text: str | int, places: int) -> int:
    """A decimal text (or whole cents, whole contracts) in its unit."""
    if isinstance(text, int):
        return text * 100
    whole, _, fraction = text.partition(".")
    number = int(whole.removeprefix("-") + fraction.ljust(places, "0"))
    return -number if text.startswith("-") else number


class Dicts:
    """Books kept by nothing but `json.loads` and dicts, for recordings without a hole."""

    def __init__(self) -> None:
        self.books: dict[str, dict[str, dict[int, int]]] = {}
        self.home: dict[str, int] = {}

    def record(self, kind: str, connection: int, data: bytes) -> None:
        """The next record of the journal."""
        said = json.loads(data)
        if kind == "connection" and said["event"] == "closed":
            for market in [market for market, home in self.home.items() if home == connection]:
                del self.books[market], self.home[market]
        elif kind == "frame" and said["type"] == "orderbook_snapshot":
            msg = said["msg"]
            self.home[msg["market_ticker"]] = connection
            self.books[msg["market_ticker"]] = {side: self._levels(msg, side) for side in ("yes", "no")}
        elif kind == "frame" and said["type"] == "orderbook_delta":
            self._delta(said["msg"])

    def _levels(self, msg: dict[str, list[list[str]]], side: str) -> dict[int, int]:
        levels = msg.get(f"{side}_dollars_fp") or msg.get(f"{side}_dollars") or msg.get(side) or []
        return {units(price, 4): units(size, 2) for price, size in levels}

    def _delta(self, msg: dict[str, str]) -> None:
        book = self.books.get(msg["market_ticker"])
        if book is None:
            return
        price = units(msg.get("price_dollars") or msg["price"], 4)
        size = book[msg["side"]].pop(price, 0) + units(msg.get("delta_fp") or msg["delta"], 2)
        if size:
            book[msg["side"]][price] = size


def plain_books(records: Iterable[Records], wanted: dict[int, list[str]]) -> list[Plain]:
    """The books of these markets behind these records."""
    dicts, found = Dicts(), list[Plain]()
    for run in records:
        for number, data in enumerate(run.data, run.first):
            dicts.record(run.kind, run.connection, data)
            for market in wanted.get(number, ()):
                book = dicts.books.get(market)
                found.append(Plain(number, market, book and {side: dict(levels) for side, levels in book.items()}))
    return found


def sides(book: BookAt) -> dict[str, dict[int, int]]:
    return {"yes": dict(book.bids), "no": {10_000 - price: size for price, size in book.asks}}


@recordings.needed
@pytest.mark.parametrize("name", recordings.NAMES)
def test_a_thousand_random_instants_are_as_a_plain_dict_has_them(name: str, tmp_path: Path) -> None:
    print(f"KALSHI_SEED={SEED}")  # noqa: T201  shown where it fails
    random_ = random.Random(SEED)  # noqa: S311  test data
    most = None if name != recordings.NAMES[-1] or os.environ.get("KALSHI_FULL") else 30_000
    records = recordings.journal(recordings.lines(name, most), seed=SEED)
    folder, last = write(tmp_path, records, segment=5_000, every=500), records[-1].last
    first_ns, last_ns = records[0].ts_recv, records[-1].ts_recv
    markets = sorted(recordings.figures(name)["markets"])
    wanted = defaultdict[int, list[str]](list)
    for instant in range(INSTANTS):
        if instant % 2:
            ns = random_.randint(first_ns, last_ns)
            number = next((run.first for run in records if run.ts_recv > ns), last + 1) - 1
            assert at(folder, last, Instant(ns)) == number
        else:
            number = random_.randint(1, last)
        wanted[number].append(random_.choice(markets))
    expected = plain_books(records, wanted)
    random_.shuffle(expected)
    books = SessionBooks(folder)

    assert len(expected) == INSTANTS
    assert sum(book.sides is not None for book in expected) > 0.1 * INSTANTS
    for number, market, levels in expected:
        book = books.at(market, number)
        assert (book.frame, book.market, book.valid) == (number, market, levels is not None), (SEED, number)
        assert sides(book) == (levels or {"yes": {}, "no": {}}), (SEED, number)


def test_questions_in_any_order_have_the_same_answers_as_alone(tmp_path: Path) -> None:
    folder = write(tmp_path, eventful(5, 150), segment=700, every=150)
    books, last = SessionBooks(folder), SessionBooks(folder).last
    numbers = [*range(0, last + 1, 61), *range(last, 0, -67), 900, 901, 902]

    assert [books.at(A, number) for number in numbers] == [book_at(folder, A, number) for number in numbers]


@pytest.fixture
def session() -> Session:
    """A and B are whole from record 3 on; A has 10 at 0.50, B an ask of 5 at 0.40."""
    session = Session()
    session.start(A, B)
    session.own("connection", 1, event="open")
    session.add("frame", 1, [snapshot(1, A, yes=[LEVEL]), snapshot(2, B, no=[["0.6000", "5.00"]])])
    return session


def ns(session: Session, number: int) -> int:
    """When that record came."""
    return next(run.ts_recv for run in session.records if run.first <= number <= run.last)


def test_a_whole_book_says_since_when_and_of_which_record_it_is(session: Session, tmp_path: Path) -> None:
    session.add("frame", 1, [delta(3, "0.5100", "2.50"), delta(4, "0.3000", "1.00", market=B)])
    folder = write(tmp_path, session.records)

    since = ns(session, 3)
    name = "20261124_050102-00000001"
    assert book_at(folder, A) == BookAt(
        *(name, A, 6, since + 1_000_000, [(5_100, 250), (5_000, 1_000)], [], True, since, 5, since + 1_000_000)
    )
    assert book_at(folder, B, 5) == BookAt(*(name, B, 5, since + 1_000_000, [], [(4_000, 500)], True, since, 4, since))


def test_a_book_behind_a_gap_is_what_was_last_known_and_names_the_hole(session: Session, tmp_path: Path) -> None:
    session.add("frame", 1, [delta(3, "0.5100", "2.00")])
    session.add("frame", 1, [delta(9, "0.5200", "3.00"), delta(10, "0.5300", "4.00")])
    session.add("frame", 1, [snapshot(11, A, yes=[["0.1000", "1.00"]])])
    folder = write(tmp_path, session.records, every=2)
    lost, healed = book_at(folder, A, 7), book_at(folder, A, 8)

    assert (lost.valid, lost.bids, lost.last_frame) == (False, [(5_100, 200), (5_000, 1_000)], 5)
    assert (lost.since_ns, lost.why) == (ns(session, 5), "sequence")
    assert lost.hole == Hole("sequence", 6, ns(session, 5), expected=4, got=9)
    assert (healed.valid, healed.bids, healed.since_ns, healed.hole) == (True, [(1_000, 100)], ns(session, 8), None)
    assert book_at(folder, B, 8).hole == lost.hole


def test_a_lost_connection_leaves_no_book_and_the_first_hole_is_told(session: Session, tmp_path: Path) -> None:
    session.add("frame", 1, [delta(9, "0.5100", "2.00")])
    session.own("connection", 1, event="closed", cause="reconnect")
    session.own("connection", 2, event="open")
    folder = write(tmp_path, session.records)
    book = book_at(folder, A, 7)

    assert (book.valid, book.bids, book.why) == (False, [], "sequence")
    assert book.since_ns == ns(session, 4)


def test_behind_the_end_there_is_no_book_but_the_default_is_the_last_data_frame(
    session: Session, tmp_path: Path
) -> None:
    session.own("connection", 1, event="closed", final=True)
    session.own("session", event="ended", verdict="complete")
    for _ in range(1_500):
        session.own("session", event="more")
    folder = write(tmp_path, session.records)

    assert (book_at(folder, A).frame, book_at(folder, A).valid) == (4, True)
    ended = book_at(folder, A, 6)
    assert (ended.valid, ended.bids, ended.why, ended.since_ns) == (False, [], "the session had ended", ns(session, 5))


def test_a_subscription_that_ended_unasked_is_a_gap(session: Session, tmp_path: Path) -> None:
    session.add("frame", 1, [frame("unsubscribed", 1, 3, id=1, msg={})])
    book = book_at(write(tmp_path, session.records), A, 5)

    assert (book.valid, book.hole and book.hole.cause) == (False, "channel_error")


def test_a_subscription_that_we_ended_is_no_gap(session: Session, tmp_path: Path) -> None:
    session.add("frame", 1, [frame("unsubscribed", 1, 3, id=OWN_IDS, msg={})])
    folder = write(tmp_path, session.records)
    book = book_at(folder, A, 5)

    assert (book.valid, book.hole, book.why) == (False, None, "its subscription had ended")


def test_a_market_that_comes_later_has_no_book_yet(session: Session, tmp_path: Path) -> None:
    session.add("frame", 1, [snapshot(3, "KXTEST-26NOV24-C", yes=[LEVEL])])
    folder = write(tmp_path, session.records)
    early = book_at(folder, "KXTEST-26NOV24-C", 4)

    assert (early.frame, early.valid, early.why, early.last_frame) == (4, False, "no snapshot had come yet", 0)
    assert book_at(folder, A, 0).why == "the session had not begun"
    assert book_at(folder, A, 1).why == "no snapshot had come yet"


def test_an_unknown_market_or_record_is_a_clear_mistake(session: Session, tmp_path: Path) -> None:
    folder = write(tmp_path, session.records)

    with pytest.raises(UsageError, match=r"knows no market 'KXTEST-26NOV24-X'; near: KXTEST-26NOV24-[AB], KXTEST"):
        book_at(folder, "KXTEST-26NOV24-X", 4)
    with pytest.raises(UsageError, match=r"knows no market 'zzz'; it knows 2: KXTEST-26NOV24-A, KXTEST-26NOV24-B"):
        book_at(folder, "zzz", 1)
    with pytest.raises(UsageError, match="#5: the session ends with record #4"):
        book_at(folder, A, 5)


def test_where_records_are_damaged_no_book_is_valid(session: Session, tmp_path: Path) -> None:
    for seq in range(3, 40):
        session.add("frame", 1, [delta(seq, "0.5000", "1.00")])
    folder = write(tmp_path, session.records, segment=10)
    path = folder / "000003.arrows"
    index = read_index(path.with_suffix(".index"))
    assert index is not None
    data = bytearray(path.read_bytes())
    data[index.entries[0].offset + index.entries[0].length // 2] ^= 4
    path.write_bytes(data)
    inside, behind = book_at(folder, A, 25), book_at(folder, A, 31)

    assert (inside.valid, inside.hole and inside.hole.cause, inside.why) == (False, "damage", "damage")
    assert inside.bids == [(5_000, 2_600)]
    assert (behind.valid, behind.hole and behind.hole.cause) == (True, None)


async def test_a_session_that_is_being_recorded_answers_too(session: Session, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "sessions" / "SESSION_20261124_050102", "s", "0")
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        for seq, size in ((0, 10), (3, 11), (4, 12)):
            if seq:
                session.add("frame", 1, [delta(seq, "0.5000", "1.00")])
            for run in session.records[-1 if seq else 0 :]:
                journal.append(run.kind, run.connection, run.ts_recv, run.mono_ns, run.data)
            await journal.durable(journal.last_frame)
            book = await trio.to_thread.run_sync(book_at, journal.folder, A)

            assert (book.frame, book.valid, book.bids) == (journal.last_frame, True, [(5_000, size * 100)])
        journal.close()
