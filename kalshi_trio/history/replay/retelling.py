"""A session told again to sinks: its rows made once, at a pace, stored exactly once, and proven by their digests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio

from kalshi_trio.history.replay.choice import Choice
from kalshi_trio.history.replay.outlet import Outlet
from kalshi_trio.history.replay.pacing import Pace
from kalshi_trio.history.replay.refold import Chosen, Refold
from kalshi_trio.history.replay.replay_sinks import held_by
from kalshi_trio.journal.manifest import Manifest, Rows
from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.progress import progress
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.session import Session
from kalshi_trio.tasks.writer import Sink, run_writer
from kalshi_trio.thread import Door

log = get_logger(__name__)


class Story(NamedTuple):
    """What is told: this choice of that session, as session `session`."""

    folder: Path
    manifest: Manifest
    choice: Choice
    session: str

    @property
    def whole(self) -> bool:
        """Whether it is all of the recorded session, under its own name."""
        return self.session == self.manifest.session


@dataclass
class Proof:
    """One table's rows as they were made now, beside those that the recording's manifest names."""

    table: str
    now: Rows
    then: Rows | None

    @property
    def equal(self) -> bool:
        """Whether they are the same rows; a choice has nothing to be compared with."""
        return self.then is None or self.now == self.then


@dataclass(frozen=True)
class Replayed:
    """What came of it."""

    story: Story
    proofs: list[Proof]
    seconds: float

    @property
    def equal(self) -> bool:
        """Whether no table differs from the recording's."""
        return all(proof.equal for proof in self.proofs)


def story_of(folder: Path, manifest: Manifest, choice: Choice | None = None) -> Story:
    """Of a session that is over; without a choice all of it."""
    last = manifest.segments[-1].frames[1] if manifest.segments else 0
    if choice is None or choice.whole(last):
        return Story(folder, manifest, Choice(1, last), manifest.session)
    return Story(folder, manifest, choice, choice.name(manifest.session))


async def tell(
    story: Story, sinks: Sequence[Sink], session: Session, console: Terminal, speed: float | None = None
) -> list[Proof]:
    """Brings the rows into the sinks, which are open: what each lacks of them, at `speed` (None: as fast as may be).

    What all sinks hold already is not waited for. Where the session is to stop, the sinks are left as they are; what is
    missing is stored the next time. Returns a proof a table; none if it was stopped.
    """
    after = [await held_by(sink, story.session, story.choice.last) for sink in sinks]
    pace = Pace(speed, max(story.choice.first, min(after, default=0) + 1))
    outlet = Outlet(story.session, len(sinks), partial(Chosen, *story), last=story.choice.last)
    proofs: list[Proof] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_on_stop, session, nursery.cancel_scope)
        async with trio.open_nursery() as writers:
            for number, sink in enumerate(sinks):
                write = partial(run_writer, sink, outlet.source(number))
                session.start_soon(writers, f"{sink.store.name} writer", write)
            with progress("Replaying", story.choice.records, console) as advance:
                rows = await _read(Refold(*story), pace, outlet, lambda frame: advance(story.choice.done(frame)))
        proofs = _proofs(rows, story)
        nursery.cancel_scope.cancel(reason="all is told")
    return proofs


async def _read(refold: Refold, pace: Pace, outlet: Outlet, reached: Callable[[int], None]) -> dict[str, Rows]:
    door = Door()
    try:
        while (found := await door.run(refold.read)) is not None:
            for due, part in pace.parts(found):
                await pace.wait(due)
                await outlet.put(await door.run(refold.rows, part))
                reached(refold.frame)
        return await door.run(refold.end)
    finally:
        outlet.close()


async def _cancel_on_stop(session: Session, scope: trio.CancelScope) -> None:
    await session.stopping.wait()
    scope.cancel(reason=session.stop_reason)


def _proofs(now: dict[str, Rows], story: Story) -> list[Proof]:
    if not story.whole:
        return [Proof(table, rows, None) for table, rows in now.items()]
    then = story.manifest.tally.rows
    none = Rows(0, "")
    return [Proof(table, now.get(table, none), then.get(table, none)) for table in sorted({*now, *then})]
