"""Coverage: when a market's book was whole and in sequence, also by a clock that does not only go forward."""

from __future__ import annotations

import pytest
from fed import A, B, Fed, delta, snapshot

from kalshi_trio.sealing import coverage

SECOND = 1_000_000_000
LEVEL = ["0.5000", "10.00"]


def whole(fed: Fed, seq: int) -> None:
    fed.session.ts_recv += 10 * SECOND
    fed.frames(snapshot(seq, A, yes=[LEVEL]))


def lost(fed: Fed, seq: int, after: float) -> None:
    fed.session.ts_recv += int(after * SECOND)
    fed.frames(delta(seq, "0.5000", "1.00"))


def test_it_is_the_time_between_a_snapshot_and_what_was_missed() -> None:
    fed = Fed()
    whole(fed, 1)
    lost(fed, 9, after=5)
    whole(fed, 10)
    lost(fed, 11, after=3)

    found = coverage(fed.builder.state, A)
    assert round(found.valid_seconds, 1) == 8
    assert round(found.seconds, 1) == 28
    assert [(start[11:19], end[11:19]) for start, end in found.valid] == [
        ("05:01:12", "05:01:17"),
        ("05:01:27", "05:01:30"),
    ]
    assert coverage(fed.builder.state, B).valid == []


@pytest.mark.parametrize("back", [-2, -7, -30, -3600])
def test_a_clock_that_is_set_back_makes_it_neither_negative_nor_longer_than_the_session(back: int) -> None:
    fed = Fed()
    whole(fed, 1)
    lost(fed, 9, after=5)
    whole(fed, 10)
    lost(fed, 11, after=back)

    for after in (0, 2, 40):
        lost(fed, 30 + after, after=after)
        whole(fed, 31 + after)

        found = coverage(fed.builder.state, A)
        assert 0 <= found.valid_seconds <= found.seconds
        times = [time for span in found.valid for time in span]
        assert times == sorted(times)
