"""How an exchange may behave, as its tests want it."""

from __future__ import annotations

from dataclasses import dataclass

from kalshi_trio.exchange.eras import Era


@dataclass(frozen=True)
class Rules:
    """The plain exchange unless told otherwise."""

    era: Era = "current"
    market_limit: int | None = None
    """More markets on one subscription are refused with error 26."""
    busy: int = 0
    """So many commands of each connection are refused with error 27 first."""
    withheld: frozenset[str] = frozenset()
    """Markets whose snapshots never come (and take no seq); their deltas do."""
    late_acks: bool = False
    """Snapshots come before the `subscribed` of their sid."""
    reorder: bool = False
    """Of two commands sent at once, the second is answered first."""
