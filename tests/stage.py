"""A scene played as the records that the recorder would write.

The exchange in here keeps true books and numbers its frames rightly; then frames are lost, repeated and swapped,
connections end, subscriptions die, nonsense comes, and the clock jumps.
"""

from __future__ import annotations

import datetime
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from scenes import HARM, Scene, Step

from kalshi_trio.protocol.records import Kind, Records

MARKETS = ("KXONE-26NOV24-T99.5", "KXTWO-26NOV24", "KXTHREE-26NOV24")
BEFORE_MIDNIGHT_NS = 1_795_564_795_000_000_000
"""2026-11-24, 23:59:55 UTC."""
US = 1_795_564_790_000_000


@dataclass
class Link:
    """A connection: which sid each channel has, how far each sid has counted, its last frame."""

    number: int
    sids: dict[str, int] = field(default_factory=dict)
    counted: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    last: bytes = b""
    held: bytes = b""


class Stage:
    """Plays a scene: `flushes` are the records, each with its segment, in the groups in which they come to disk."""

    def __init__(self, scene: Scene) -> None:
        self.flushes: list[tuple[int, list[Records]]] = []
        self._scene = scene
        self._truth: dict[str, dict[str, dict[int, int]]] = {market: {"yes": {}, "no": {}} for market in MARKETS}
        self._links: list[Link] = []
        self._frames: list[bytes] = []
        self._connections = self._frame = 0
        self._ns, self._us, self._timeless = BEFORE_MIDNIGHT_NS, US, False
        self._mono = 1
        self._segment, self._harm = 0, ""
        self._cut("segment")
        self._play()

    @property
    def last(self) -> int:
        """The number of the last record."""
        return self._frame

    def _play(self) -> None:
        scene = self._scene
        started = {"event": "started", "source": "live", "software": "1", "settings": {"b": 1, "a": "x"}}
        died = [
            {"session": f"old{number}", "last_record": 9, "at_ns": self._ns + lag, "markets": list(MARKETS[number:])}
            for number, lag in enumerate((-60_000_000_000, 5_000_000)[: scene.died], 1)
        ]
        self._own("session", 0, **started, markets=list(MARKETS[: scene.wanted]), died=died, as_seen=scene.seen)
        self._connect(scene.late)
        for read in scene.reads:
            self._cut(read.cut)
            self._ns += read.pause
            self._mono += max(read.pause, 0)
            for step in read.steps:
                if step.what in HARM[:3]:
                    self._harm = step.what
                elif step.what == "tick":
                    self._tick(step.much)
                else:
                    getattr(self, f"_{step.what}")(step)
            self._end_read()
        for link in self._links:
            self._own("connection", link.number, event="closed", final=True)
        self._own("session", 0, event="ended", verdict="known gaps")

    def _cut(self, how: str) -> None:
        if how:
            self._segment += how == "segment"
            self.flushes.append((self._segment, []))

    def _record(self, kind: Kind, connection: int, data: list[bytes]) -> None:
        records = Records(self._frame + 1, kind, connection, self._ns, self._mono, data)
        self._frame = records.last
        self.flushes[-1][1].append(records)

    def _end_read(self) -> None:
        if self._frames:
            self._record("frame", self._links[-1].number, self._frames)
            self._frames = []

    def _own(self, kind: Kind, connection: int, **event: Any) -> None:
        self._end_read()
        self._record(kind, connection, [json.dumps(event).encode()])

    def _send(self, kind: str, channel: str, msg: dict[str, Any], **more: Any) -> None:
        """The next frame of this channel, unless it comes to harm."""
        link = self._links[-1]
        sid = link.sids.setdefault(channel, len(link.counted) + 1)
        link.counted[sid] += 1
        head = {"type": kind, "sid": sid, "seq": link.counted[sid], "msg": msg}
        if channel == "ticker":
            del head["seq"]
        frame = json.dumps({**head, **more}, separators=(",", ":")).encode()
        harm, self._harm = self._harm, ""
        if harm == "swap":
            link.held = frame
            return
        self._frames += [] if harm == "drop" else [frame, frame] if harm == "repeat" else [frame]
        if link.held:
            self._frames.append(link.held)
            link.held = b""

    def _raw(self, **message: Any) -> None:
        self._frames.append(json.dumps(message, separators=(",", ":")).encode())

    def _connect(self, late: bool) -> None:
        self._end_read()
        self._connections += 1
        self._links.append(Link(self._connections))
        self._own("connection", self._connections, event="open", url="x")
        self._subscribe(Step("subscribe", 0, 0, 3 * late))

    def _subscribe(self, step: Step) -> None:
        """A channel anew; `much` above 2: its first frames are missed."""
        link = self._links[-1]
        channel = ("orderbook_delta", "trade", "orderbook_delta")[step.which % 3]
        sid = link.sids[channel] = len(link.counted) + 1
        link.counted[sid] = 0 if step.much < 3 else step.much
        self._raw(type="subscribed", id=1, msg={"channel": channel, "sid": sid})
        if channel == "orderbook_delta":
            for number in range(3):
                if number != step.level:
                    self._snapshot(step._replace(which=number))

    def _reconnect(self, step: Step) -> None:
        self._end_read()
        link = self._links.pop()
        heard = {"heard_ns": self._ns + (0, -3_000_000, -(10**15), 10**15)[step.level]} if step.level < 4 else {}
        self._own("connection", link.number, event="closed", cause=("reconnect", "stall")[step.which % 2], **heard)
        if not self._links or step.much < 4:
            self._connect(step.level == 1)

    def _second(self, step: Step) -> None:
        self._connect(step.which == 1)

    def _turn(self, _step: Step) -> None:
        self._end_read()
        self._links.insert(0, self._links.pop())

    def _command(self, _step: Step) -> None:
        self._own("command", self._links[-1].number, id=1_000_001, cmd="x")
        self._own("stall", self._links[-1].number, seconds=1)

    def _ask(self, step: Step) -> None:
        """An audit, that REST answers with nothing or never: it changes no other row."""
        self._own("rest", 0, event="asked", request=step.level, markets=[MARKETS[step.which % 3]])
        if step.much < 4:
            self._own("rest", 0, event="answered", request=step.much, status=500)

    def _tick(self, much: int) -> None:
        self._us += (1, 1, 1_000, 1_000_000, 37, 10, -10_000_000, -120_000_000)[much]
        self._timeless = much == 5

    def _stamps(self) -> dict[str, Any]:
        if self._scene.era == "cents" or self._timeless:
            self._timeless = False
            return {}
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=self._us)  # noqa: DTZ001  all is UTC
        text = (moment.isoformat().rstrip("0") if moment.microsecond else moment.isoformat()) + "Z"
        return {"ts": text} | ({"ts_ms": self._us // 1_000} if self._scene.era == "fp" else {})

    def _change(self, step: Step, cents: int, count: int) -> None:
        """A delta of `count` contracts (and 7/100 more where there are fractions)."""
        market, side, era = MARKETS[step.which % 3], ("yes", "no")[step.which // 3 % 2], self._scene.era
        e4 = cents * 100 + (step.much % 2 * 10 if era == "fp" and step.what == "delta" else 0)
        levels = self._truth[market][side]
        e2 = count * 100 + (7 if era == "fp" and count > 0 else 0)
        if step.what == "delta" and step.much >= 5 and levels:
            e4 = sorted(levels)[step.level % len(levels)]
            e2 = -levels[e4] if step.much > 5 or levels[e4] <= 100 else -100
        if step.what != "below":
            levels[e4] = levels.get(e4, 0) + e2
            if not levels[e4]:
                del levels[e4]
        old = {"price": e4 // 100, "delta": int(e2 / 100)}
        new = {"price_dollars": dollars(e4), "delta_fp": contracts(e2)}
        said = old if era == "cents" else new if era == "fp" else old | new
        self._send(
            "orderbook_delta", "orderbook_delta", {"market_ticker": market, "side": side, **said, **self._stamps()}
        )

    def _delta(self, step: Step) -> None:
        self._change(step, 10 + 7 * step.level, step.much + 1)

    def _cross(self, step: Step) -> None:
        self._change(step, 60 + step.level, 1)

    def _below(self, step: Step) -> None:
        self._change(step, 10 + 7 * step.level, -1_000)

    def _book(self, market: str) -> dict[str, Any]:
        msg: dict[str, Any] = {"market_ticker": market, "market_id": "x"}
        for side, levels in self._truth[market].items():
            if levels and self._scene.era != "fp":
                msg[side] = [[e4 // 100, e2 // 100] for e4, e2 in sorted(levels.items())]
            if levels and self._scene.era == "both":
                msg[f"{side}_dollars"] = [[dollars(e4), e2 // 100] for e4, e2 in sorted(levels.items())]
            if levels and self._scene.era != "cents":
                msg[f"{side}_dollars_fp"] = [[dollars(e4), contracts(e2)] for e4, e2 in sorted(levels.items())]
        return msg

    def _snapshot(self, step: Step, **more: Any) -> None:
        self._send("orderbook_snapshot", "orderbook_delta", self._book(MARKETS[step.which % 3]), **more)

    def _answer(self, step: Step) -> None:
        """To our get_snapshot, with the next number, or one that nobody expects."""
        link = self._links[-1]
        sid = link.sids.setdefault("orderbook_delta", len(link.counted) + 1)
        if step.much < 4:
            self._snapshot(step, id=1_000_002)
        else:
            message = {"type": "orderbook_snapshot", "id": 1_000_002, "sid": sid, "seq": link.counted[sid] + step.much}
            self._raw(**message, msg=self._book(MARKETS[step.which % 3]))

    def _close(self, step: Step) -> None:
        self._truth[MARKETS[step.which % 3]] = {"yes": {}, "no": {}}
        self._snapshot(step)

    def _trade(self, step: Step) -> None:
        msg: dict[str, Any] = {"market_ticker": MARKETS[step.which % 3], "trade_id": f"t{self._us}", "ts": US // 10**6}
        if self._scene.era != "fp":
            msg |= {"yes_price": 40, "no_price": 60, "count": step.much + 1, "taker_side": "yes"}
        if self._scene.era != "cents":
            msg |= {"yes_price_dollars": "0.4000", "no_price_dollars": "0.6000", "count_fp": f"{step.much + 1}.00"}
            msg |= {"taker_outcome_side": "no", "ts_ms": self._us // 1_000, "is_block_trade": step.level == 1}
        if step.level == 2:
            msg = {"market_ticker": MARKETS[0], "trade_id": "without a price", "ts": 1}
        self._send("trade", "trade", msg)

    def _ticker(self, step: Step) -> None:
        msg: dict[str, Any] = {"market_ticker": MARKETS[step.which % 3], "ts": US // 10**6, "dollar_volume": -step.much}
        if self._scene.era != "fp":
            msg |= {"price": 40, "yes_bid": 39, "yes_ask": 41, "volume": 5, "open_interest": 6}
        if self._scene.era != "cents":
            msg |= {"price_dollars": "0.4000", "yes_bid_dollars": "0.3900", "yes_ask_dollars": "0.4100"}
            msg |= {"yes_bid_size_fp": "3.25", "volume_fp": "5.00"}
        self._send("ticker", "ticker", msg)

    def _lifecycle(self, step: Step) -> None:
        msg = {"market_ticker": MARKETS[step.which % 3], "result": "yes"}
        msg["event_type"] = ("determined", "settled", "activated", "created")[step.level % 4]
        self._send("market_lifecycle_v2", "market_lifecycle_v2", msg if step.much else {"event_type": "x", "é": [1]})

    def _ok(self, step: Step) -> None:
        self._send("ok", ("orderbook_delta", "trade")[step.which % 2], {"market_tickers": list(MARKETS)}, id=3)

    def _error(self, step: Step) -> None:
        self._send("error", ("orderbook_delta", "trade")[step.which % 2], {"code": 8, "msg": "no"}, id=4)

    def _die(self, step: Step) -> None:
        channel = ("orderbook_delta", "trade")[step.which % 2]
        self._send("error", channel, {"code": 10 if step.much < 4 else 25, "msg": "dead"})

    def _unsubscribe(self, step: Step) -> None:
        self._send(
            "unsubscribed", ("orderbook_delta", "trade")[step.which % 2], {}, id=5 if step.much < 6 else 1_000_005
        )

    def _unknown(self, step: Step) -> None:
        self._send("riddle", ("orderbook_delta", "trade", "riddle")[step.which % 3], {"x": step.much})

    def _garbage(self, step: Step) -> None:
        self._frames.append((b"\xff\xfe", b"[1]", b"{}", b'{"type":', b'"text"', b"7")[step.level])

    def _unfit(self, step: Step) -> None:
        """A delta that says something impossible of its market."""
        odd = ({"side": "maybe"}, {"price_dollars": "0.12345"}, {"novel": 1})[step.level % 3]
        msg = {"market_ticker": MARKETS[step.which % 3], "side": "yes", "price_dollars": "0.1000", "delta_fp": "1.00"}
        if step.level % 3 == 2:
            levels = self._truth[MARKETS[step.which % 3]]["yes"]
            levels[1_000] = levels.get(1_000, 0) + 100
        self._send("orderbook_delta", "orderbook_delta", {**msg, **self._stamps(), **odd})

    def _nameless(self, _step: Step) -> None:
        self._send("orderbook_delta", "orderbook_delta", {"side": "yes", "price_dollars": "0.1000", "delta_fp": "1.00"})


def dollars(e4: int) -> str:
    """As Kalshi writes a price."""
    return f"{e4 // 10_000}.{e4 % 10_000:04}"


def contracts(e2: int) -> str:
    """As Kalshi writes a count."""
    return f"{'-' * (e2 < 0)}{abs(e2) // 100}.{abs(e2) % 100:02}"
