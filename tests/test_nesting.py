"""How deeply a message is nested decides what becomes of it, and never how deep the stack is that reads it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from fed import A, Fed, frame, snapshot

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.decoder import DEEPEST, too_deep
from kalshi_trio.protocol.orderbooks import books_in

LEVEL = ["0.5000", "10.00"]
PRICE = {"market_ticker": A, "side": "yes", "price_dollars": "0.5000", "delta_fp": "1.00", "ts": "2026-11-24T05:01:02Z"}


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def unused(depth: int) -> bytes:
    return frame("orderbook_delta", 1, 2, msg=PRICE | {"market_id": "X"}).replace(b'"X"', nested(depth).encode())


def new(depth: int) -> bytes:
    return frame("orderbook_delta", 1, 2, msg=PRICE | {"never_seen": "X"}).replace(b'"X"', nested(depth).encode())


def lifecycle(depth: int) -> bytes:
    return frame("event_lifecycle", 2, None, msg={"event_ticker": "E", "more": "X"}).replace(
        b'"X"', nested(depth).encode()
    )


def below(calls: int, call: Callable[[], None]) -> None:
    """Calls it from that many calls further down the stack."""
    if calls:
        below(calls - 1, call)
    else:
        call()


@pytest.mark.parametrize("message", [unused, new, lifecycle])
@pytest.mark.parametrize(
    ("depth", "refused"), [(DEEPEST - 10, 0), (DEEPEST + 10, 1), (850, 1), (1_500, 1), (20_000, 1)]
)
@pytest.mark.parametrize("calls", [0, 300])
def test_the_same_frames_are_refused_however_deep_the_stack_is(
    calls: int, depth: int, refused: int, message: Callable[[int], bytes]
) -> None:
    fed = Fed()
    fed.frames(snapshot(1, A, yes=[LEVEL]))
    below(calls, lambda: fed.frames(message(depth)))

    assert fed.builder.state.tally.refused == refused


@pytest.mark.parametrize("calls", [0, 300])
def test_the_same_answers_of_rest_too(calls: int) -> None:
    body = json.dumps({"orderbooks": [{"ticker": A, "orderbook_fp": {}, "more": "X"}]})

    def read(depth: int) -> None:
        assert set(books_in(body.replace('"X"', nested(depth)))) == {A}

    below(calls, lambda: read(DEEPEST - 10))
    with pytest.raises(WireError, match="nested too deeply"):
        below(calls, lambda: read(DEEPEST + 10))


def test_width_is_no_depth() -> None:
    levels = json.dumps({"yes": [["0.5000", "1.00"]] * 5_000, "no": [{}] * 5_000}).encode()

    assert not too_deep(levels)
    assert too_deep(b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1) + levels)
