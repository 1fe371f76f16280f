"""Manifests that were sealed before gaps had that name are read as what they say."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.manifest import Coverage, Manifest

OLD = {"seconds": 10.0, "valid_seconds": 4.0, "valid": [["2026-11-24T05:01:02.0Z", "2026-11-24T05:01:06.0Z"]]}


def test_an_old_manifest_is_read_with_the_words_of_today(tmp_path: Path) -> None:
    about = msgspec.to_builtins(Manifest("s", "SESSION_S", "live", "0", ""))
    del about["missing"]
    about["format"] = 1
    about |= {"verdict": "known holes", "coverage": {"A": OLD}}
    (tmp_path / "manifest.json").write_text(json.dumps(about))

    found = manifests.read(tmp_path)

    assert found is not None
    assert (found.verdict, found.missing) == ("known gaps", [])
    assert found.coverage == {
        "A": Coverage(4.0, 6.0, [("2026-11-24T05:01:02.0Z", "2026-11-24T05:01:06.0Z", "whole")]),
    }
    assert found.coverage["A"].whole_percent == pytest.approx(40)


@pytest.mark.parametrize(
    "broken",
    [
        "[]",
        "7",
        '{"coverage": 7}',
        '{"coverage": {"A": 7}}',
        '{"coverage": {"A": {"valid_seconds": "x", "seconds": []}}}',
    ],
)
def test_a_manifest_that_is_none_is_not_read(tmp_path: Path, broken: str) -> None:
    (tmp_path / "manifest.json").write_text(broken)

    assert manifests.read(tmp_path) is None
