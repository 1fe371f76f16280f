"""Coverage: when a market's book was whole and in sequence, also by a clock that does not only go forward."""

from __future__ import annotations

import pytest
from fed import A, Fed, delta, snapshot

from kalshi_trio.protocol.coverage import covered, turn
from kalshi_trio.protocol.state import Market, State
from kalshi_trio.sealing import coverage

SECOND = 1_000_000_000
LEVEL = ["0.5000", "10.00"]


def whole(fed: Fed, seq: int) -> None:
    fed.session.ts_recv += 10 * SECOND
    fed.frames(snapshot(seq, A, yes=[LEVEL]))


def lost(fed: Fed, seq: int, after: float) -> None:
    fed.session.ts_recv += int(after * SECOND)
    fed.frames(delta(seq, "0.5000", "1.00"))


def test_it_is_the_time_between_a_snapshot_and_the_last_frame_before_what_was_missed() -> None:
    fed = Fed()
    whole(fed, 1)
    fed.frames(delta(2, "0.5000", "1.00"))
    lost(fed, 9, after=5)
    whole(fed, 10)
    fed.session.ts_recv += 3 * SECOND
    fed.frames(delta(11, "0.5000", "1.00"))
    lost(fed, 13, after=3)

    found = coverage(fed.builder.state, A)
    assert [(start[11:19], end[11:19], *rest) for start, end, *rest in found.spans] == [
        ("05:01:02", "05:01:12", "gap", "no_book"),
        ("05:01:12", "05:01:12", "whole"),
        ("05:01:12", "05:01:27", "gap", "sequence"),
        ("05:01:27", "05:01:30", "whole"),
        ("05:01:30", "05:01:33", "gap", "sequence"),
    ]
    assert (round(found.whole_seconds), round(found.gap_seconds)) == (3, 28)
    assert round(found.whole_percent or 0, 1) == 9.7


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
        state = fed.builder.state
        assert 0 <= found.whole_seconds + found.gap_seconds <= max(state.last_ns - state.started_ns, 0) / 1e9
        times = [time for span in found.spans for time in span[:2]]
        assert times == sorted(times)


def test_a_time_that_is_told_twice_counts_as_the_worse_of_both() -> None:
    state = State("s", started_ns=0, last_ns=100 * SECOND)
    state.markets[A] = Market(A)
    for what, at, cause in (("whole", 10, ""), ("gap", 50, "reconnect"), ("whole", 20, ""), ("closed", 60, "")):
        turn(state.markets[A], what, at * SECOND, cause)
    state.markets[A].spans.append((15 * SECOND, 30 * SECOND, "gap", "sequence"))

    assert [(span.start // SECOND, span.end // SECOND, *span[2:]) for span in covered(state, A)] == [
        (10, 15, "whole", ""),
        (15, 30, "gap", "sequence"),
        (30, 60, "whole", ""),
        (60, 100, "closed", ""),
    ]
