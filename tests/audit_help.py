"""A fed session whose books are audited."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from fed import A, B, Fed, snapshot

SECOND = 1_000_000_000
LEVEL = ["0.5000", "10.00"]
NO = ["0.4000", "3.00"]
VERDICT = ("market", "verdict", "reason")


@pytest.fixture
def fed() -> Fed:
    """A is whole with 10 at 0.50 YES and 3 at 0.40 NO, B with 10 at 0.50; frames so far: 4."""
    fed = Fed()
    fed.frames(snapshot(1, A, yes=[LEVEL], no=[NO]), snapshot(2, B, yes=[LEVEL]))
    fed.signals.clear()
    return fed


def ask(fed: Fed, *markets: str, request: int = 1) -> None:
    fed.own("rest", event="asked", request=request, markets=markets or (A,))


def book(market: str = A, yes: Any = (), no: Any = ()) -> dict[str, object]:
    return {"ticker": market, "orderbook_fp": {"yes_dollars": yes, "no_dollars": no}}


def answer(fed: Fed, *books: dict[str, object], request: int = 1, **more: object) -> None:
    body = msgspec.json.encode({"orderbooks": books}).decode()
    said = {"status": 200, "sent": 1000, "answered": 2000, "body": body} | more
    fed.own("rest", event="answered", request=request, **said)


def later(fed: Fed, ns: int) -> None:
    """Time goes on; a record of no consequence tells it."""
    fed.session.ts_recv += ns
    fed.own("stall")
