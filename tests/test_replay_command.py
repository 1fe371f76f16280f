"""`replay` as it is called: what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from past import MARKETS, generated, imported
from test_replay_kill import ROOT, command


def called(folder: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    with command(folder, "replay", "latest", *words) as process:
        said, diary = process.communicate(timeout=90)
    return process.returncode, said, diary


async def test_each_table_is_said_to_be_equal_or_not(tmp_path: Path) -> None:
    folder, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=5))
    line = [sys.executable, str(ROOT / "scripts" / "replay.py"), "latest", "--data-dir", "data"]
    equal = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: ASYNC221,S603  ourselves
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace(manifest.tally.rows["trades"].digest, "0" * 64))
    code, said, _ = called(tmp_path)

    assert equal.returncode == 0
    assert [line.split()[0] for line in equal.stdout.splitlines()] == list(manifest.tally.rows)
    assert equal.stdout.count("equal to the recording's") == len(manifest.tally.rows)
    assert "Tally: received" in equal.stderr
    assert code == 4
    assert [line.split()[0] for line in said.splitlines() if "NOT EQUAL" in line] == ["trades"]


async def test_a_choice_is_told_to_programs(tmp_path: Path) -> None:
    _, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=5))
    code, said, diary = called(tmp_path, "--from", "#50", "--to", "#100", "--markets", MARKETS[0], "--json")
    told = json.loads(said)

    assert code == 0, diary
    assert (told["of"], told["frames"], told["markets"]) == (manifest.session, [50, 99], [MARKETS[0]])
    assert told["session"].startswith(f"{manifest.session}~")
    assert told["equal"] is None
    assert told["tables"]["deltas"]["rows"] > 0


async def test_the_summary_of_a_choice_says_nothing_of_the_rest(tmp_path: Path) -> None:
    await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=5))
    _, _, diary = called(tmp_path, "--from", "#50", "--to", "#100", "--markets", MARKETS[0])

    assert ": records 50 to 99, rows of 1 market, in " in diary
    assert "verdict" not in diary
    assert "Tally" not in diary


async def test_mistakes_have_their_exit_codes(tmp_path: Path) -> None:
    await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=2))
    wrong = {
        ("--sink", "clickhouse=http://127.0.0.1:1"): (69, "ClickHouse: "),
        ("--sink", "parquet=p", "--serve", ":0"): (2, "choose one"),
        ("--from", "noon"): (2, "'noon' is no time"),
        ("--from", "#9999999"): (2, "no record between"),
        ("--markets", "KXNONE"): (2, "has no market KXNONE"),
    }
    for words, (expected, text) in wrong.items():
        code, said, diary = called(tmp_path, *words)

        assert (code, said) == (expected, ""), words
        assert text in diary.splitlines()[-1]
        assert "Traceback" not in diary
