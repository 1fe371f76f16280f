"""Anything that may befall a session, drawn by hypothesis: `stage` plays it."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

OFTEN = {"delta": 30, "tick": 16, "trade": 3, "ok": 2, "snapshot": 3, "cross": 2, "close": 2, "answer": 2}
HARM = ("drop", "repeat", "swap", "below", "garbage", "unfit", "nameless", "unknown", "error")
TURNS = ("reconnect", "second", "turn", "die", "unsubscribe", "subscribe", "ticker", "lifecycle", "command", "ask")
WHATS = [what for what, often in OFTEN.items() for _ in range(often)] + [*HARM, *TURNS, "repeat", "drop", "reconnect"]


class Step(NamedTuple):
    """One thing that happens; the numbers say to which market, at which level, how much."""

    what: str
    which: int
    level: int
    much: int


class Read(NamedTuple):
    """What one read brings, `pause` after the one before; `cut`: it begins a flush or a segment."""

    pause: int
    cut: str
    steps: list[Step]


class Scene(NamedTuple):
    """A whole session. `died`: sessions before it; `seen`: nobody knows since when its markets were wanted.

    `harmed`: flushes that are damaged on disk afterwards.
    """

    era: str
    wanted: int
    died: int
    seen: bool
    late: bool
    reads: list[Read]
    harmed: list[int]


_STEP = st.builds(Step, st.sampled_from(WHATS), st.integers(0, 11), st.integers(0, 5), st.integers(0, 7))
_PAUSES = (0, 1, 1_000_000, 5_000_000_000, 86_400_000_000_000, -2_000_000_000)
_READ = st.builds(
    Read,
    st.sampled_from([*_PAUSES[:4] * 3, *_PAUSES[4:]]),
    st.sampled_from(["", "", "flush", "flush", "segment"]),
    st.lists(_STEP, min_size=1, max_size=40),
)
SCENES = st.builds(
    Scene,
    st.sampled_from(["cents", "both", "fp"]),
    st.integers(0, 3),
    st.integers(0, 2),
    st.booleans(),
    st.booleans(),
    st.lists(_READ, min_size=4, max_size=30),
    st.lists(st.integers(0, 60), max_size=2),
)
