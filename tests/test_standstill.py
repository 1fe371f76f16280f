"""A loop that is late is said as that, and seldom."""

from __future__ import annotations

import pytest

from kalshi_trio.observe.standstill import Standstill


def test_a_late_loop_is_said_at_once_and_then_once_a_minute_with_the_worst(caplog: pytest.LogCaptureFixture) -> None:
    standstill = Standstill()
    for second in range(200):
        standstill.look({10: 0.9, 20: 3.0, 30: 1.5, 40: 4.0}.get(second, 0.01), float(second))

    assert caplog.messages == [
        "The recorder stood still for 3.0s: frames are stamped that late",
        "The recorder stood still for 4.0s (2 times, this the longest): frames are stamped that late",
    ]
