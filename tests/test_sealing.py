"""Sealing costs a long session no memory but the manifest's own."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from sink_rows import SESSION

from kalshi_trio.journal.disk import Disk
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.protocol.builder import SegmentEnd
from kalshi_trio.protocol.records import Records
from kalshi_trio.sealing import Sealer

STATE = 1_000_000
"""Bytes: of some thousand markets."""


@pytest.mark.parametrize("more", [True, False])
def test_the_states_of_segments_that_are_over_are_not_kept(more: bool, tmp_path: Path) -> None:
    disk = Disk(tmp_path, {"format": "1", "session": SESSION, "software": "0"})
    sealer = Sealer(tmp_path, Manifest(SESSION, tmp_path.name, "live", "0", ""))
    try:
        for number in range(1, 11):
            if number == 2:  # the first one costs what is imported and cached for all
                tracemalloc.start()
            disk.write([(number, Records(number, "frame", 1, 1, 1, [b"x"]))])
            by_type = {"trade": number}
            end = SegmentEnd(number, number, number, by_type, bytes(STATE), 1)
            sealer.segment(end, {"trades": (1, "00" * 32)}, more=more)
        del end
        disk.end()
        for file in disk.closed:
            sealer.closed(file, disk.metadata)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < STATE
    assert [segment.by_type for segment in sealer.manifest.segments] == [{"trade": number} for number in range(1, 11)]
    assert {segment.rows["trades"].made for segment in sealer.manifest.segments} == {1}
