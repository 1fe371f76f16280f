"""Each named fault of the simulated exchange does what its name says, where it says, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kalshi_trio.exchange.faults import HOSTILE, HOSTILE_SID, NAMES, Faults, Name, Piece
from kalshi_trio.exchange.wire import BINARY, TEXT

WHOLE = (
    b'{"type":"orderbook_delta","sid":1,"seq":2,"msg":{"market_ticker":"A","market_id":"x","price_dollars":"0.4700",'
    b'"delta_fp":"-1.50","side":"no","ts":"2026-11-24T18:00:00.1Z","ts_ms":1795543200100},"sending_ts_ms":1795543200101}\n'
)
BOOK = (
    b'{"type":"orderbook_snapshot","sid":1,"seq":3,"msg":{"market_ticker":"A",'
    b'"no_dollars_fp":[["0.5300","1.00"],["0.0100","2.00"]]}}\n'
)


def delta(seq: int, sid: int = 1) -> bytes:
    return b'{"type":"orderbook_delta","sid":%d,"seq":%d,"msg":{"market_ticker":"A","side":"yes"}}\n' % (sid, seq)


FRAMES = [delta(1), delta(2), delta(3), delta(9, sid=2)]


def made(name: Name, frames: Sequence[bytes] = FRAMES) -> list[Piece]:
    """What becomes of the frames when the second has the fault."""
    return Faults({1: name}, seed=4).apply(frames, set())


def sent(pieces: Sequence[Piece]) -> list[bytes]:
    return [frame for piece in pieces for frame in piece.frames]


def changed(name: Name) -> bytes:
    """The second frame after a fault that only changes it."""
    first, second, *rest = sent(made(name))
    assert [first, *rest] == [FRAMES[0], *FRAMES[2:]]
    return second


def before(name: Name) -> list[bytes]:
    """What a fault puts in front of the second frame, which itself stays."""
    frames = sent(made(name))
    assert [frames[0], *frames[-3:]] == FRAMES
    return frames[1:-3]


def dropped() -> None:
    assert sent(made("drop")) == [FRAMES[0], *FRAMES[2:]]


def repeated() -> None:
    assert sent(made("repeat")) == [FRAMES[0], FRAMES[1], *FRAMES[1:]]


def swapped() -> None:
    assert sent(made("swap")) == [FRAMES[0], FRAMES[2], FRAMES[1], FRAMES[3]]


def flipped() -> None:
    frame = changed("flip")
    differing = [a ^ b for a, b in zip(frame, FRAMES[1], strict=True) if a != b]
    assert [bit.bit_count() for bit in differing] == [1]


def malformed() -> None:
    frame = changed("malformed")
    assert FRAMES[1].startswith(frame)
    with pytest.raises(ValueError, match="line 1"):
        json.loads(frame)


def binary() -> None:
    assert made("binary") == [Piece(FRAMES[:1]), Piece(FRAMES[1:2], BINARY), Piece(FRAMES[2:])]


def not_utf8() -> None:
    with pytest.raises(UnicodeDecodeError):
        changed("not_utf8").decode()


def huge(name: Name, least: int, most: int) -> Callable[[], None]:
    def check() -> None:
        (ok,) = before(name)
        assert least < len(ok) < most
        assert json.loads(ok)["type"] == "ok"

    return check


def unknown_type() -> None:
    (frame,) = before("unknown_type")
    assert json.loads(frame)["type"] == "weather_report"


def new_field() -> None:
    frame: dict[str, Any] = json.loads(changed("new_field"))
    assert frame.pop("surprise")
    assert frame == json.loads(FRAMES[1])


def hostile() -> None:
    frames = [json.loads(frame) for frame in before("hostile")]
    assert [frame["msg"]["market_ticker"] for frame in frames] == list(HOSTILE)
    assert {(frame["type"], frame["sid"]) for frame in frames} == {("orderbook_delta", HOSTILE_SID)}


def terminal(name: Name, code: int) -> Callable[[], None]:
    def check() -> None:
        first, second, *rest = sent(made(name))
        assert first == FRAMES[0]
        error = json.loads(second)
        assert (error["type"], error["sid"], error["seq"], error["msg"]["code"]) == ("error", 1, 2, code)
        assert rest == FRAMES[3:]

    return check


def delayed() -> None:
    assert made("delay") == [Piece(FRAMES[:1]), Piece([], deed="delay"), Piece(FRAMES[1:])]


def deed(name: Name) -> Callable[[], None]:
    def check() -> None:
        assert made(name) == [Piece(FRAMES[:1]), Piece([], deed=name), Piece(FRAMES[2:])]

    return check


def ended_unasked() -> None:
    first, second, *rest = sent(made("unsubscribed"))
    assert first == FRAMES[0]
    assert json.loads(second) == {"type": "unsubscribed", "sid": 1, "seq": 2}
    assert rest == FRAMES[3:]


def null_fields() -> None:
    (frame,) = sent(made("null_fields", [FRAMES[0], WHOLE])[-1:])[1:]
    told = json.loads(frame)
    assert [told[name] for name in ("seq", "id", "sending_ts_ms")] == [None] * 3
    assert [told["msg"][name] for name in ("market_id", "ts", "ts_ms", "client_order_id")] == [None] * 4
    assert told["msg"]["price_dollars"] == "0.4700"


def numbers() -> None:
    (frame,) = sent(made("numbers", [FRAMES[0], WHOLE])[-1:])[1:]
    assert b'"price_dollars":0.4700,"delta_fp":-1.50,' in frame


def several() -> None:
    assert sent(made("several")) == [FRAMES[0], b"".join(FRAMES[1:])]
    faults = Faults({0: "several"})
    assert [sent(faults.apply([frame], set())) for frame in FRAMES] == [[], [], [b"".join(FRAMES[:3])], FRAMES[3:]]


def renamed_sides() -> None:
    frames = [json.loads(frame) for frame in sent(made("renamed_sides"))]
    assert [(frame["type"][10:], frame["sid"], frame["seq"]) for frame in frames] == [
        *(("delta", 1, 1), ("delta", 1, 2), ("snapshot", 1, 3), ("delta", 1, 4), ("delta", 2, 9)),
    ]
    assert not {"yes_dollars_fp", "no_dollars_fp"} & frames[2]["msg"].keys()


def renumbered(name: Name, *expected: int) -> Callable[[], None]:
    def check() -> None:
        frames = sent(Faults({1: name}).apply([delta(number) for number in range(100, 100 + len(expected))], set()))
        assert [json.loads(frame)["seq"] for frame in frames] == list(expected)

    return check


def yes_flip() -> None:
    first, second, book = (json.loads(frame) for frame in sent(made("yes_flip", [FRAMES[0], WHOLE, BOOK])))
    assert first == json.loads(FRAMES[0])
    assert second["msg"]["price_dollars"] == "0.5300"
    assert book["msg"]["no_dollars_fp"] == [["0.4700", "1.00"], ["0.9900", "2.00"]]


EFFECTS: dict[Name, Callable[[], None]] = {
    "drop": dropped,
    "repeat": repeated,
    "swap": swapped,
    "flip": flipped,
    "malformed": malformed,
    "binary": binary,
    "not_utf8": not_utf8,
    "huge_ok": huge("huge_ok", 1 << 20, 2 << 20),
    "huge": huge("huge", 4 << 20, 6 << 20),
    "unknown_type": unknown_type,
    "new_field": new_field,
    "hostile": hostile,
    "error_10": terminal("error_10", 10),
    "error_25": terminal("error_25", 25),
    "unsubscribed": ended_unasked,
    "null_fields": null_fields,
    "numbers": numbers,
    "several": several,
    "renamed_sides": renamed_sides,
    "seq_restart": renumbered("seq_restart", 100, 1, 2, 3),
    "seq_back": renumbered("seq_back", 100, *range(99, 78, -1), 79 + 1, 79 + 2),
    "yes_flip": yes_flip,
    "delay": delayed,
    "cut": deed("cut"),
    "close_1001": deed("close_1001"),
    "deaf": deed("deaf"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_does_what_its_name_says(name: Name) -> None:
    EFFECTS[name]()


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_falls_on_its_frame_alone_and_is_noted(name: Name) -> None:
    faults = Faults({2: name})

    assert faults.apply(FRAMES[:2], set()) == [Piece(FRAMES[:2])]
    faults.apply(FRAMES[2:], set())
    assert [(done.at, done.name, done.frame) for done in faults.done] == [(2, name, FRAMES[2])]
    assert faults.apply(FRAMES, set())[-1].frames[-1].endswith(FRAMES[-1])


def test_without_faults_frames_pass_in_one_piece() -> None:
    assert Faults({}).apply(FRAMES, set()) == [Piece(FRAMES, TEXT)]


def test_of_a_dead_subscription_nothing_comes_until_it_is_made_again() -> None:
    subscribed = b'{"type":"subscribed","id":1,"msg":{"channel":"orderbook_delta","sid":1}}\n'
    faults, dead = Faults({0: "error_10"}), set[int]()
    faults.apply(FRAMES, dead)

    assert dead == {1}
    assert sent(faults.apply([*FRAMES, subscribed], dead)) == [FRAMES[3], subscribed]


def test_what_is_held_back_for_a_connection_that_ends_never_comes() -> None:
    faults = Faults({3: "swap"})
    assert sent(faults.apply(FRAMES, set())) == FRAMES[:3]

    faults.new_connection()

    assert sent(faults.apply(FRAMES, set())) == FRAMES


def test_a_seed_makes_the_same_faults_again() -> None:
    def run(seed: int) -> list[tuple[int, Name]]:
        faults = Faults.seeded(seed, NAMES, every=20, most=30)
        for number in range(2000):
            faults.apply([delta(number, sid=number)], set())
        return [(done.at, done.name) for done in faults.done]

    assert run(7) == run(7)
    assert run(7) != run(8)
    assert 25 <= len(run(7)) <= 30
