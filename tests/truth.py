"""Words against the truth: the exchange notes what it meant to send and when; what became of it is held against what is said.

Markets live on while nobody is connected. A delta or trade that was meant and is not journalled whole is lost, at the moment at
which it was meant; that moment has to lie in a gap of its market, in the rows of `gaps` and outside every span called whole.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from unittest import mock
from uuid import UUID

import trio
import trio.testing
from fed import plain
from feed_help import Scene
from memory_exchange import MemoryExchange, gate, sign, virtual_ms, virtual_us
from trio.testing import MockClock
from verify_help import checked
from written import write

from kalshi_trio.exchange.faults import NAMES, Faults
from kalshi_trio.exchange.floor import GeneratedFloor
from kalshi_trio.exchange.frames import time_text
from kalshi_trio.exchange.gate import Refusal
from kalshi_trio.exchange.market import Book, Change, Event, Execution
from kalshi_trio.exchange.server import Exchange, Outage
from kalshi_trio.exchange.shows import FloorShow
from kalshi_trio.history.verify.sections import verdict as last_line
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.checkpoints import Checkpoint
from kalshi_trio.journal.disk import Disk
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.observe.health import Bounds, judge, status_of
from kalshi_trio.observe.stats import Stats
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.coverage import GAP, WHOLE, covered
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.signals import Signal
from kalshi_trio.protocol.subscriptions import Subscriptions
from kalshi_trio.sealing import verdict_of
from kalshi_trio.startup import deaths, left_behind, seal_dead
from kalshi_trio.tasks.builder import look
from kalshi_trio.tasks.subscriber import run_subscriber
from kalshi_trio.thread import Door
from kalshi_trio.transport.seam import Clock

MARKETS = ("A", "B", "C", "D")
BOOKS, TRADES = "orderbook_delta", "trade"
SECONDS = 60.0
FIRST_BOOK_S = 0.5
"""What a market's first snapshot may take: what is meant before it was never promised."""
LATEST = 20
"""So many reads at most are not durable yet when a recorder is killed."""
HEALTH_S = 40.0
"""So long silence is no sign of anything: `health` need not know before."""


class Bound(NamedTuple):
    """What a fault explains: the longest gap in seconds, on top of the exchange's own longest silence; None: for ever."""

    seconds: float | None
    why: str
    harmless: bool = False
    """Nothing is lost, and the verdict has to be `complete`."""


_ASKED = "a lost book is asked for within a second, and again if the first answer is of no use"
_DIES = "a subscription that died is subscribed again after a short wait"
_RECONNECT = "a cut connection is noticed at once, the first waits are short"
BOUNDS: dict[str, Bound] = {
    **dict.fromkeys(("drop", "repeat", "swap", "malformed", "not_utf8"), Bound(3, _ASKED)),
    **dict.fromkeys(("renamed_sides", "seq_restart"), Bound(5, _ASKED)),
    "seq_back": Bound(20, "numbers fall over 20 frames, and each wait for an answer is longer"),
    **dict.fromkeys(("error_10", "error_25", "unsubscribed"), Bound(8, _DIES)),
    **dict.fromkeys(
        ("binary", "huge_ok", "huge", "unknown_type", "new_field", "null_fields", "numbers", "several", "delay"),
        Bound(0, "all that was meant arrives", harmless=True),
    ),
    "hostile": Bound(0, "no market's book is concerned; the delta that names no market is refused: known gaps"),
    **dict.fromkeys(("cut", "close_1001"), Bound(5, _RECONNECT)),
    "deaf": Bound(36, "30 s without a sign of life, then a reconnect"),
    "yes_flip": Bound(None, "the exchange lies until the connection ends"),
    "flip": Bound(None, "a frame has no checksum: a bit of a count or a price may leave a message that can be read"),
    "outage": Bound(50, "20 s of 401, waits between two tries that double meanwhile"),
    "busy": Bound(16, "503 three times: the waits are 1, 2, 4 and 8 s"),
    "kill": Bound(12, "from the last durable record over 5 s of downtime to the next session's snapshots"),
    "stop": Bound(0, "nothing is meant while it stops", harmless=True),
}
"""Fault → what it explains. `busy`: a cut, then handshakes that are answered 503."""
UNTELLABLE = {"flip": "a changed count that can be read is like any other: not held against the words"}
"""Faults whose losses nobody can know of, with the reason."""


class KnownFloor(GeneratedFloor):
    """Notes what happens, with the moment at which it is sent, and each market's book after each change."""

    def __init__(self, seed: int) -> None:
        super().__init__(MARKETS, seed, 60.0)
        self.meant: list[Meant] = []
        self.waiting: dict[tuple[object, ...], list[Meant]] = defaultdict(list)
        self._books = {ticker: Book() for ticker in MARKETS}
        for ticker, market in self.markets.items():
            for side, levels in market.book.sides.items():
                self._books[ticker].sides[side].update(levels)
        self.still = False

    def advance(self, dt_us: int, now_us: int) -> list[Event]:
        """As ever, unless it is to stand still."""
        events = [] if self.still else super().advance(dt_us, now_us)
        for event in events:
            if isinstance(event, Change):
                book = self._books[event.ticker]
                book.apply(event.side, event.price_e4, event.delta_e2)
                one = Meant(event.ticker, now_us * 1000, digest(book.sides))
                self.meant.append(one)
                price, count = Decimal(event.price_e4).scaleb(-4), Decimal(event.delta_e2).scaleb(-2)
                for stamp in (time_text(event.ts_us), None):
                    self.waiting[event.ticker, event.side, price, count, stamp].append(one)
            elif isinstance(event, Execution):
                trade = Meant(event.ticker, now_us * 1000, 0, TRADES)
                self.meant.append(trade)
                self.waiting[str(UUID(int=event.trade_id)),].append(trade)
        return events

    def arrived(self, msg: dict[str, Any]) -> Meant | None:
        """The delta or trade that a journalled message is, if it is one that was meant and has not come yet."""
        try:
            if "trade_id" in msg:
                return self._first((msg["trade_id"],))
            price, count = Decimal(str(msg["price_dollars"])), Decimal(str(msg["delta_fp"]))
            return self._first((msg["market_ticker"], msg["side"], price, count, msg.get("ts")))
        except (KeyError, ArithmeticError, TypeError):
            return None

    def _first(self, name: tuple[object, ...]) -> Meant | None:
        one = next((one for one in self.waiting.get(name, ()) if not one.came), None)
        if one is not None:
            one.came = True
        return one


@dataclass(slots=True, eq=False)
class Meant:
    """A delta or a trade that the exchange meant to send: when (ns, UTC), and (of a delta) its market's book afterwards."""

    ticker: str
    at_ns: int
    book: int
    channel: str = BOOKS
    came: bool = False


def digest(sides: dict[str, dict[int, int]]) -> int:
    """Equal for equal books."""
    return hash(frozenset((side, price, size) for side, levels in sides.items() for price, size in levels.items()))


class LivingShow(FloorShow):
    """Its markets live on while nobody listens."""

    async def live(self) -> None:
        """Until cancelled."""
        self._at = trio.current_time()
        await self._live()


class Recorder:
    """A session without disk and sinks; its journal is in memory. `died`: as in the first record of a session."""

    def __init__(self, nursery: trio.Nursery, floor: KnownFloor, dial: Any, died: list[dict[str, object]]) -> None:
        self.floor = floor
        self.scene = Scene(nursery, ())
        feed = self.scene.feed
        feed.dial, feed.sign = dial, sign
        feed.clock = Clock(lambda: virtual_us() * 1000, lambda: round(trio.current_time() * 1e9))
        self.builder = Builder("a session")
        self.stats = Stats(session="a session", feed=self.scene.stats, started_mono_ns=feed.clock.mono_ns() or 1)
        self.began_ns = virtual_us() * 1000
        self.wrong: list[tuple[str, int]] = []
        """Market and time (ns) of each delta after which a book that was called valid was another than the exchange's."""
        self.warnings = self.kinder_health = 0
        self.rows: list[dict[str, Any]] = []
        self._read = 0
        self._stale: dict[str, float] = {}
        self.own(event="started", source="live", software="0", markets=list(MARKETS), settings={}, died=died)
        self._signals, signals_out = trio.open_memory_channel[Signal](10_000)
        self.scene.start()
        nursery.start_soon(run_subscriber, Subscriptions(MARKETS), self.scene.links, signals_out, self.scene.orders)
        nursery.start_soon(self._build)

    def own(self, **event: object) -> None:
        """A record of the session's own."""
        event = {name: value for name, value in event.items() if name != "died" or value}
        clock = self.scene.feed.clock
        self.scene.journal.append("session", 0, clock.wall_ns(), clock.mono_ns(), [json.dumps(event).encode()])

    async def _build(self) -> None:
        asked = 0.0
        while not self.scene.done.is_set():
            await trio.sleep(0.02)
            for signal in self.look():
                self._signals.send_nowait(signal)
            if trio.current_time() - asked >= 1:
                asked = trio.current_time()
                self._ask_health(asked)

    def again(self, records: list[Records]) -> None:
        """From these records alone."""
        self.scene.journal.records = records
        self.builder, self.rows, self.wrong, self._read = Builder("a session"), [], [], 0
        self.look()

    def look(self) -> list[Signal]:
        """Brings the builder up to the journal's end, frame by frame."""
        records = self.scene.journal.records
        for run in records[self._read :]:
            for place, data in enumerate(run.data):
                self.builder.feed(run._replace(first=run.first + place, data=[data]))
                if run.kind == "frame":
                    self._compare(data, run.ts_recv)
        self._read = len(records)
        for made in self.builder.take():
            tables = made.rows().tables
            self.rows += plain(tables["gaps"]) if "gaps" in tables else []
        notices, signals = self.builder.told()
        self.warnings += sum(notice.level >= 30 for notice in notices)
        return signals

    def _compare(self, data: bytes, at_ns: int) -> None:
        last: dict[str, tuple[Meant, ...]] = {}
        for message in messages(data):
            if message.get("type") in (BOOKS, TRADES) and isinstance(message.get("msg"), dict):
                one = self.floor.arrived(message["msg"])
                if one is not None and one.channel == BOOKS:
                    last[one.ticker] = (one,)
        for ticker, (one,) in last.items():
            market = self.builder.state.markets.get(ticker)
            if market is not None and market.valid and digest(self.book(ticker)) != one.book:
                self.wrong.append((ticker, at_ns))

    def book(self, ticker: str) -> dict[str, dict[int, int]]:
        """Ours, as it stands."""
        book = self.builder.state.markets[ticker].book
        return {"yes": book.yes.levels, "no": book.no.levels}

    def _ask_health(self, now: float) -> None:
        clock, known = self.scene.feed.clock, self.builder.state.markets
        look(self.builder, self.stats.builder, 0, clock.mono_ns())
        for ticker in MARKETS:
            if ticker in known and self.book(ticker) == self.floor.markets[ticker].book.sides:
                self._stale.pop(ticker, None)
            else:
                self._stale.setdefault(ticker, now)
        status = status_of(self.stats, clock.wall_ns(), clock.mono_ns())
        well = not judge(status, clock.wall_ns(), Bounds())
        self.kinder_health += well and any(now - since > HEALTH_S for since in self._stale.values())

    def gaps(self, end_ns: int) -> Iterator[Span]:
        """Each gap of each market in its book or its trades, by the rows of `gaps`."""
        healed = {
            (row["gap_frame"], row["cause"], row["channel"], ticker): row["healed_at"]
            for row in self.rows
            if row["event"] == "healed"
            for ticker in row["markets"] or MARKETS
        }
        for row in self.rows:
            if row["event"] == "opened" and row["channel"] in (None, BOOKS, TRADES):
                for ticker in row["markets"] or MARKETS:
                    key = (row["gap_frame"], row["cause"], row["channel"], ticker)
                    yield Span(ticker, row["cause"], row["channel"], row["opened_at"], healed.get(key, end_ns))


class Span(NamedTuple):
    """A gap of one market, from `start` to `end` (ns, UTC); `channel` None: of both."""

    ticker: str
    cause: str
    channel: str | None
    start: int
    end: int

    def has(self, meant: Meant) -> bool:
        """Whether it is told of there."""
        concerned = self.ticker == meant.ticker and self.channel in (None, meant.channel)
        return concerned and self.start <= meant.at_ns <= self.end


def messages(data: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of a frame, as far as they can be read, numbers exact."""
    decoder, at = json.JSONDecoder(parse_float=Decimal), 0
    try:
        text = data.decode()
        while at < len(text.rstrip()):
            found, at = decoder.raw_decode(text, at + len(text[at:]) - len(text[at:].lstrip()))
            if isinstance(found, dict):
                yield found
    except ValueError:
        return


@dataclass
class Found:
    """What a fault came to."""

    fault: str
    meant: int = 0
    lost: int = 0
    outside: int = 0
    """Lost, and in no gap of its market, or in a span that is called whole."""
    wrong: int = 0
    """Times at which a span is called whole and its book was another than the exchange's."""
    beyond_s: float = 0.0
    """By how much the longest gap is longer than its cause explains."""
    longest_s: float = 0.0
    kinder: list[str] = field(default_factory=list)
    harsher: list[str] = field(default_factory=list)
    """Words that are worse than what happened."""
    causes: set[str] = field(default_factory=set)
    done: int = 0
    asks: int = 0
    warnings: int = 0
    rows: int = 0

    @property
    def bad(self) -> bool:
        """Whether anything is not as it should be."""
        untellable = self.fault in UNTELLABLE
        losses = (self.outside or self.wrong or self.kinder) and not untellable
        return bool(losses or self.beyond_s > 0 or self.harsher or not self.done)


def live(fault: str, seed: int, every: int = 0) -> Found:
    """A minute with this fault, in virtual time; `every`: it comes again after so many frames."""
    clock = MockClock(autojump_threshold=0)
    with mock.patch("kalshi_trio.exchange.shows.TICK", 0.05), tempfile.TemporaryDirectory() as folder:
        return trio.run(_lived, fault, seed, every, Path(folder), clock=clock)


async def _lived(fault: str, seed: int, every: int, folder: Path) -> Found:
    random = Random(seed)  # noqa: S311  plausible, not secret
    first = random.randrange(60, 400)
    named = "cut" if fault == "busy" else fault
    schedule = dict.fromkeys(range(first, 100_000, every) if every else (first,), named) if named in NAMES else {}
    faults = Faults(schedule, seed) if schedule else None
    floor = KnownFloor(seed)
    show = LivingShow(floor, 1.0, virtual_us)
    outage = Outage(20.0, random.uniform(3, 15)) if fault == "outage" else None
    exchange = Exchange(show, gate(), faults, outage=outage, wall_ms=virtual_ms)
    found = Found(fault)
    async with trio.open_nursery() as world:
        world.start_soon(show.live)
        dial = MemoryExchange(world, exchange).dial
        async with trio.open_nursery() as nursery:
            recorder = Recorder(nursery, floor, _refusing(exchange, dial, fault), [])
            await trio.sleep(random.uniform(10, 30) if fault == "kill" else SECONDS)
            if fault == "kill":
                nursery.cancel_scope.cancel(reason="killed")
            else:
                await _end(recorder)
                nursery.cancel_scope.cancel(reason="the run is over")
        recorders = [recorder]
        if fault == "kill":
            recorder.look()
            died = await _dead(recorder, folder / "died", random, found)
            async with trio.open_nursery() as nursery:
                await trio.sleep(5)
                recorders.append(Recorder(nursery, floor, dial, died))
                await trio.sleep(20)
                await _end(recorders[1])
                nursery.cancel_scope.cancel(reason="the run is over")
        _judge(found, floor, recorders)
        _say(found, recorders[-1], folder / "data")
        world.cancel_scope.cancel(reason="the run is over")
    found.done = len(faults.done) if faults else 1
    found.asks = sum("get_snapshot" in command.text for command in exchange.commands)
    return found


def _refusing(exchange: Exchange, dial: Any, fault: str) -> Any:
    """Where it is to be busy, the second connection's handshake is refused three times."""

    async def dialled(endpoint: object) -> trio.abc.Stream:
        if fault == "busy" and exchange.connections == 1 and len(exchange.handshakes) == 1:
            exchange.refusals += [Refusal(503, b"busy")] * 3
        stream: trio.abc.Stream = await dial(endpoint)
        return stream

    return dialled


async def _end(recorder: Recorder) -> None:
    """The floor stands still, so that nothing is on its way; then a clean stop."""
    recorder.floor.still = True
    await trio.sleep(0.2)
    await recorder.scene.finish()
    recorder.own(event="ended", verdict=verdict_of(recorder.builder.state))
    recorder.look()


class Here(Door):
    """Calls without a thread, behind which a virtual clock would run away."""

    async def run(self, call: Any, *args: Any, **_more: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return call(*args)


async def _dead(recorder: Recorder, data: Path, random: Random, found: Found) -> list[dict[str, object]]:
    """What a kill leaves of its journal, cut at some record, mended by the next start: what that one tells of it."""
    records, floor = recorder.scene.journal.records, recorder.floor
    durable = records[: -random.randrange(1, LATEST)]
    session = "20261124_050102-00000001"
    path = data / "sessions" / "SESSION_20261124_050102"
    disk = Disk(path, {"format": "1", "session": session})
    disk.open()
    checkpoints.save(path, Checkpoint(1, 1, Builder(session).dump(), 0))
    about = Manifest(session, path.name, "live", "0", "2026-11-24T18:00:00.000000000Z", markets=list(MARKETS))
    manifests.write(path / "manifest.json", about)
    disk.write([(1, run) for run in durable])
    before = checked(data)
    found.kinder += [f"killed, and verify's code is {before.exit_code}"] * (before.exit_code != 3)
    older = left_behind(data, [])
    died = deaths(data, older)
    for one in older:
        await seal_dead(one, Here())
    sealed, after = manifests.read(path), checked(data)
    verdict = sealed.verdict if sealed else ""
    found.kinder += [f"killed, and the verdict is {verdict}"] * (verdict != "cut short")
    found.kinder += [f"killed and sealed, and verify's code is {after.exit_code}"] * (after.exit_code != 3)
    told = [(one["session"], one["last_record"], one["at_ns"], one["markets"]) for one in died]
    right = [(session, durable[-1].last, durable[-1].ts_recv, list(MARKETS))]
    found.kinder += [f"died: {told}"] * (told != right)
    for meant in floor.meant:  # only what is durable has come
        meant.came = False
    recorder.again(durable)
    return died


def _judge(found: Found, floor: KnownFloor, recorders: Sequence[Recorder]) -> None:
    """Every loss, wrong instant and gap."""
    bound = BOUNDS[found.fault]
    end_ns = virtual_us() * 1000
    gaps = [gap for one in recorders for gap in one.gaps(end_ns)]
    whole: dict[str, list[tuple[int, int]]] = defaultdict(list)
    starts: dict[str, int] = {}
    for one in recorders:
        for ticker in MARKETS:
            spans = covered(one.builder.state, ticker)
            starts.setdefault(ticker, spans[0].start if spans else end_ns)
            whole[ticker] += [(span.start, span.end) for span in spans if span.what == WHOLE]
    began = recorders[0].began_ns
    lost = [meant for meant in floor.meant if not meant.came and not _before(meant, began, starts)]
    found.meant, found.lost = len(floor.meant), len(lost)
    for meant in lost:
        called = meant.channel == BOOKS and any(start < meant.at_ns < end for start, end in whole[meant.ticker])
        found.outside += called or not any(gap.has(meant) for gap in gaps)
    for ticker, at_ns in (wrong for one in recorders for wrong in one.wrong):
        found.wrong += any(start < at_ns < end for start, end in whole[ticker])
    found.causes = {gap.cause for gap in gaps}
    found.longest_s = max(((gap.end - gap.start) / 1e9 for gap in gaps), default=0.0)
    if bound.seconds is not None:
        for channel in (BOOKS, TRADES):
            mine = [(gap.end - gap.start) / 1e9 for gap in gaps if gap.channel in (None, channel)]
            silence = 0.0 if bound.harmless else _silence(floor, channel)
            found.beyond_s = max([found.beyond_s, *(seconds - bound.seconds - silence for seconds in mine)])
    found.warnings, found.rows = sum(one.warnings for one in recorders), sum(len(one.rows) for one in recorders)
    found.kinder += ["health"] * any(one.kinder_health for one in recorders)


def _silence(floor: KnownFloor, channel: str) -> float:
    """The longest time in which the exchange itself had nothing to send there."""
    times = [meant.at_ns for meant in floor.meant if meant.channel == channel]
    return max((after - before for before, after in pairwise(times)), default=0) / 1e9


def _before(one: Meant, began: int, starts: dict[str, int]) -> bool:
    return one.at_ns <= min(starts[one.ticker], began + int(FIRST_BOOK_S * 1e9))


def _say(found: Found, recorder: Recorder, data: Path) -> None:
    """What manifest and verify say of the last session."""
    verdict = verdict_of(recorder.builder.state, recorder.scene.stats.received)
    gap = any(span.what == GAP for ticker in MARKETS for span in covered(recorder.builder.state, ticker))
    write(data, recorder.scene.journal.records)
    report = checked(data)
    (one,) = report.sessions
    clean = report.exit_code == 0 or one.verdict == "complete" or "clean" in last_line(one) or verdict == "complete"
    if found.lost or gap:
        found.kinder += [f"{verdict}, {one.verdict}, verify {report.exit_code}"] * clean
    elif BOUNDS[found.fault].harmless:
        found.harsher += [f"{verdict}, verify {report.exit_code}"] * (verdict != "complete" or report.exit_code != 0)
    found.harsher += ["damage"] * (report.exit_code == 4)
