"""Replay: the same rows again, from any journal, at any pace, into any sink; a choice is a session of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import trio
from past import MARKETS, generated, imported, recorded, settings_in
from recordings import NAMES, needed
from stores import clickhouse, digests, parquet

from kalshi_trio.errors import InUse, NotReachable, UsageError
from kalshi_trio.history.replay.replay_sinks import held_folders
from kalshi_trio.history.replay.replaying import Wish, replay
from kalshi_trio.history.replay.retelling import Replayed
from kalshi_trio.history.times import Instant, Record
from kalshi_trio.journal.folder import sessions
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.reading import read_session
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.thread import Door


async def again(folder: Path, wish: Wish, *sinks: str, what: str = "latest") -> Replayed:
    return await replay(settings_in(folder), Terminal(), what, wish, sinks)


def both(folder: Path) -> tuple[str, str]:
    """Sinks as `stores` reads them."""
    return f"parquet={folder / 'parquet'}", f"clickhouse={folder / 'clickhouse'}"


def keys(rows: dict[str, pa.Table]) -> dict[str, list[Any]]:
    """All rows of the tables that have any."""
    return {name: table.to_pylist() for name, table in rows.items() if table.num_rows}


def assert_stored(data: dict[str, pa.Table], manifest: Manifest) -> None:
    stored = {name: (data[name].num_rows, digest) for name, digest in digests(data, manifest).items()}
    assert stored == {name: (rows.made, rows.digest) for name, rows in manifest.tally.rows.items()}


async def without_a_thread(_door: Door, call: Callable[..., Any], *args: object) -> Any:
    """Virtual time would jump while a thread still runs."""
    await trio.lowlevel.checkpoint()
    return call(*args)


async def test_a_session_told_twice_gives_the_recordings_rows_in_both_sinks(tmp_path: Path) -> None:
    _, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl", lost=(700,)))
    for name in ("one", "two"):
        done = await again(tmp_path, Wish(), *both(tmp_path / name))

        assert [proof.equal for proof in done.proofs] == [True] * len(manifest.tally.rows)
        assert_stored(parquet(tmp_path / name, manifest.session), manifest)
        assert_stored(clickhouse(tmp_path / name, manifest.session), manifest)


@needed
@pytest.mark.parametrize("name", NAMES)
async def test_each_recording_gives_the_same_rows_at_every_speed(
    name: str, tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Door, "run", without_a_thread)
    file = recorded(tmp_path / name.removesuffix(".gz"), name)
    _, manifest = await imported(tmp_path, file, journal_segment_records=4_000)
    for speed, sinks in ((None, 2), (10.0, 1), (1.0, 1)):
        done = await again(tmp_path, Wish(speed=speed), *both(tmp_path / str(speed))[:sinks])

        assert {proof.table: proof.now for proof in done.proofs} == manifest.tally.rows
        assert_stored(parquet(tmp_path / str(speed), manifest.session), manifest)
    assert_stored(clickhouse(tmp_path / "None", manifest.session), manifest)


async def test_paced_it_takes_as_long_as_it_took_and_gives_the_same_rows(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Door, "run", without_a_thread)
    folder, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl"))
    stamps = [run.mono_ns for frames in read_session(folder) for run in frames.records]
    took = (stamps[-1] - stamps[0]) / 1e9
    assert took > 59
    for speed in (1.0, 10.0):
        began = trio.current_time()
        done = await again(tmp_path, Wish(speed=speed), both(tmp_path / str(speed))[0])

        assert took / speed <= trio.current_time() - began < took / speed + 0.1
        assert {proof.table: proof.now for proof in done.proofs} == manifest.tally.rows
        assert_stored(parquet(tmp_path / str(speed), manifest.session), manifest)


@pytest.mark.parametrize("markets", [(), MARKETS[:1], MARKETS[1:]])
async def test_a_choice_has_exactly_the_whole_sessions_rows_that_belong_to_it(
    markets: tuple[str, ...], tmp_path: Path
) -> None:
    _, manifest = await imported(
        tmp_path, generated(tmp_path / "past.jsonl", lost=(700,)), journal_segment_records=1_000
    )
    last = manifest.segments[-1].frames[1]
    lo, hi = last // 3, 2 * last // 3
    await again(tmp_path, Wish(), both(tmp_path / "b")[0])
    wish = Wish(Record(lo), Record(hi + 1), markets=markets)
    done = await again(tmp_path, wish, *both(tmp_path / "b"))

    session = done.story.session
    expected = keys(parquet(tmp_path / "b", manifest.session))
    for name, rows in expected.items():
        expected[name] = [row for row in rows if lo <= row["frame"] <= hi and belongs(row, markets)]
    expected = {name: rows for name, rows in expected.items() if rows}
    assert session.startswith(f"{manifest.session}~")
    assert len(expected["deltas"]) > 100
    assert keys(parquet(tmp_path / "b", session)) == expected
    assert keys(clickhouse(tmp_path / "b", session)) == expected
    stored = digests(parquet(tmp_path / "b", session), manifest)
    assert stored == {proof.table: proof.now.digest for proof in done.proofs}


def belongs(row: dict[str, Any], markets: tuple[str, ...]) -> bool:
    named = [row["market"]] if "market" in row else row["markets"] if "gap_frame" in row else []
    return not markets or not any(named) or any(name in markets for name in named)


async def test_the_same_choice_is_the_same_session_however_it_is_put(tmp_path: Path) -> None:
    _, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=5))
    last = manifest.segments[-1].frames[1]
    puts = (
        Wish(Record(10), markets=MARKETS[:2]),
        Wish(Record(10), Record(last + 1), markets=MARKETS[1::-1]),
        Wish(Record(10), Instant(2**62), markets=MARKETS[:2]),
    )
    names = [(await again(tmp_path, wish)).story.session for wish in puts]
    other = (await again(tmp_path, Wish(Record(11), markets=MARKETS[:2]))).story.session
    whole = (await again(tmp_path, Wish(Record(1), Instant(2**62)))).story.session

    assert len(set(names)) == 1
    assert other not in names
    assert whole == manifest.session


async def test_rows_that_differ_from_the_recordings_are_said_table_by_table(tmp_path: Path) -> None:
    folder, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=5))
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace(manifest.tally.rows["deltas"].digest, "0" * 64))

    done = await again(tmp_path, Wish())
    assert [proof.table for proof in done.proofs if not proof.equal] == ["deltas"]


async def test_a_foreign_recording_is_imported_once(tmp_path: Path) -> None:
    file = generated(tmp_path / "past.jsonl", seconds=5)
    first = await again(tmp_path, Wish(), what=str(file))
    second = await again(tmp_path, Wish(), what=str(file))
    generated(file, seconds=5, seed=2)
    third = await again(tmp_path, Wish(), what=str(file))

    assert first.story.session == second.story.session != third.story.session
    assert len(sessions(tmp_path / "data")) == 2
    assert not (tmp_path / "data" / "parquet").exists()


async def test_what_makes_no_sense_is_a_usage_error(tmp_path: Path) -> None:
    await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=2))
    with pytest.raises(UsageError, match="write parquet=DIR"):
        await again(tmp_path, Wish(), "tape=3")
    with pytest.raises(UsageError, match="given twice"):
        await again(tmp_path, Wish(), "parquet=p", "parquet=p")
    with pytest.raises(UsageError, match="One embedded ClickHouse"):
        await again(tmp_path, Wish(), "clickhouse=a", "clickhouse=b")
    with pytest.raises(BaseExceptionGroup) as group:
        await again(tmp_path, Wish(markets=("KXNONE",)))
    assert group.group_contains(UsageError, match="has no market KXNONE")
    with pytest.raises(UsageError, match="No session 'SESSION_X'"):
        await again(tmp_path, Wish(), what="SESSION_X")


async def test_a_server_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=2))
    with pytest.raises(BaseExceptionGroup) as group:
        await again(tmp_path, Wish(), "clickhouse=http://127.0.0.1:1")

    assert group.group_contains(NotReachable)


async def test_two_replays_do_not_store_in_one_folder_at_a_time(tmp_path: Path) -> None:
    await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=2))
    spec = both(tmp_path / "b")[0]
    with held_folders([spec]), pytest.raises(InUse, match="another replay stores there"):
        await again(tmp_path, Wish(), spec)
