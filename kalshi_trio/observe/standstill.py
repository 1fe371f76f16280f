"""Whether the event loop ran on time: where it does not, stamps are late, and nobody else can be blamed for it."""

from __future__ import annotations

from kalshi_trio.logging_config import get_logger

log = get_logger(__name__)

LATE_SECONDS = 1.0
SAY_EVERY = 60.0


class Standstill:
    """Told by how much a task woke late, and when (Trio's time); says so at most once a minute, the worst by name."""

    def __init__(self) -> None:
        self._count = 0
        self._worst = 0.0
        self._again_at = float("-inf")

    def look(self, late: float, now: float) -> None:
        """A second is worth a word; less happens on any busy machine."""
        if late >= LATE_SECONDS:
            self._count += 1
            self._worst = max(self._worst, late)
        if self._count and now >= self._again_at:
            often = f" ({self._count} times, this the longest)" if self._count > 1 else ""
            log.warning("The recorder stood still for %.1fs%s: frames are stamped that late", self._worst, often)
            self._count, self._worst, self._again_at = 0, 0.0, now + SAY_EVERY
