"""A file that starts anew loses no line and tears none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kalshi_trio.log_rotation import Limits, RotatingFile


def contents(path: Path) -> list[bytes]:
    """All lines, oldest first."""
    older = sorted(path.parent.glob(f"{path.name}.*"), key=lambda older: -int(older.suffix[1:]))
    return [line for file in [*older, path] for line in file.read_bytes().splitlines()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(
    writes=st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=5), max_size=20),
    max_bytes=st.integers(1, 100),
)
def test_every_line_is_there_once_in_order_and_whole(tmp_path: Path, writes: list[list[int]], max_bytes: int) -> None:
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}-{os.urandom(4).hex()}.log"
    file = RotatingFile(path, Limits(max_bytes, None))
    number, expected = 0, []
    for lengths in writes:
        lines = [b"%d-%s" % (number + n, b"x" * length) for n, length in enumerate(lengths)]
        number += len(lines)
        expected += lines
        file.write(b"".join(line + b"\n" for line in lines))
    file.close()

    assert (contents(path) if writes else []) == expected
    for older in tmp_path.glob(f"{path.name}*"):
        assert older.stat().st_size <= max_bytes or older.read_bytes().count(b"\n") == 1


def test_the_newest_backup_is_1_and_past_the_limit_the_oldest_goes(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "a.log", Limits(4, 2))
    for letter in b"abcd":
        file.write(bytes([letter]) * 3 + b"\n")
    file.close()

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.log": b"ddd\n",
        "a.log.1": b"ccc\n",
        "a.log.2": b"bbb\n",
    }


def test_a_hole_that_a_crash_left_among_the_backups_is_filled_and_costs_none(tmp_path: Path) -> None:
    (tmp_path / "a.log.1").write_bytes(b"one\n")
    (tmp_path / "a.log.3").write_bytes(b"three\n")
    file = RotatingFile(tmp_path / "a.log", Limits(4, 10))
    file.write(b"old\n")
    file.write(b"new\n")
    file.close()

    assert contents(tmp_path / "a.log") == [b"three", b"one", b"old", b"new"]


@pytest.mark.parametrize("limits", [Limits(0, 5), Limits(4, 0)])
def test_without_a_size_or_without_backups_it_never_starts_anew(tmp_path: Path, limits: Limits) -> None:
    file = RotatingFile(tmp_path / "a.log", limits)
    file.write(b"abc\n" * 10)
    file.close()

    assert (tmp_path / "a.log").read_bytes() == b"abc\n" * 10


def test_it_goes_on_with_the_file_of_before(tmp_path: Path) -> None:
    for text in (b"a\n", b"b\n", b"c\n"):
        file = RotatingFile(tmp_path / "a.log", Limits(4, 1))
        file.write(text)
        file.close()

    assert (tmp_path / "a.log.1").read_bytes() + (tmp_path / "a.log").read_bytes() == b"a\nb\nc\n"


def test_after_a_torn_write_the_next_line_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) < 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, bytes(data[:3]))

    file = RotatingFile(tmp_path / "a.log", Limits(100, 1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            file.write(b"abcde")
    file.write(b"next\n")
    file.close()

    assert (tmp_path / "a.log").read_bytes() == b"abc\nnext\n"
