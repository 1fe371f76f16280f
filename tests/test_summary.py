"""What a session says at its end."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from log_help import Logs, logs
from rich.cells import cell_len
from rich.console import Console

from kalshi_trio.journal.manifest import Manifest, Rows, TallyReport
from kalshi_trio.journal.sinks_report import Report, Stored
from kalshi_trio.logging_config import open_session_log
from kalshi_trio.observe.summary import Ending, say_summary, summary, tally_line
from kalshi_trio.session import Entry

__all__ = ["logs"]

TALLY = (
    "Tally: received 100271 = journalled 100271 = decoded 100264 + control 7 + unknown 0 + refused 0;"
    " ClickHouse 100391 rows, 0 pending; Parquet 100391 rows, 0 pending"
)


def some_ending() -> Ending:
    """A complete session of two tables."""
    made = {"deltas": Rows(99_000, "…"), "snapshots": Rows(1_391, "…")}
    name = "SESSION_20261124_050102"
    manifest = Manifest("20261124_050102-9f3a1c70", name, "live", "1.0.0", "2026-11-24T05:01:02.123456789Z")
    manifest.tally = TallyReport(100_271, 100_271, 100_264, 7, 0, 0, {"orderbook_delta": 99_000}, made)
    manifest.markets, manifest.verdict = ["A", "B"], "complete"
    manifest.lateness_ms = {
        "exchange_to_receive": {"p50": 1.25, "p99": 9.5, "max": 1040.0},
        "receive_to_parquet": {"p50": 31_000.0, "p99": 60_000.0, "max": 60_400.0},
        "clock_skew": {"estimate": -0.75},
    }
    tables = {"deltas": Stored(99_000, 0, 100_290), "snapshots": Stored(1_391, 0, 100_290)}
    report: Report = {"parquet": dict(tables), "clickhouse": dict(tables)}
    diary = [
        Entry("recorder", 0, 3600.38, "finished"),
        Entry("live view", 0, 3600.1, "cancelled", "the session is over", "record"),
    ]
    return Ending(manifest, report, 3600.38, diary, {"journal": f"data/sessions/{name}"})


def shown(ending: Ending, width: int = 100) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(summary(ending))
    return file.getvalue()


def test_the_tally_line_is_the_one_that_scripts_read() -> None:
    ending = some_ending()

    assert tally_line(ending.manifest, ending.report) == TALLY


def test_a_sink_that_is_switched_off_is_not_in_the_tally() -> None:
    ending = some_ending()
    del ending.report["clickhouse"]

    assert tally_line(ending.manifest, ending.report) == TALLY.replace(" ClickHouse 100391 rows, 0 pending;", "")


@pytest.mark.parametrize(
    "said",
    [
        "SESSION_20261124_050102: 100,271 frames of 2 markets in 1h 00m\nverdict complete: ",
        "verdict complete: no gap was opened, nothing refused, every book came\n",
        "rows                          made    ClickHouse       Parquet",
        "deltas                      99,000        99,000        99,000",
        "all                        100,391       100,391       100,391",
        "exchange to receive        1.25       9.50   1,040.00",
        "clock skew and shortest way, together: -0.75 ms",
        "live view                1h 00m  cancelled by record: the session is over",
        "journal  data/sessions/SESSION_20261124_050102",
    ],
)
def test_the_summary_says(said: str) -> None:
    assert said in shown(some_ending())


def errors() -> int:
    opened = open_session_log()
    assert opened
    return opened.counts.errors


def pending(ending: Ending) -> None:
    ending.report["clickhouse"]["deltas"] = Stored(90_000, 9_000, 91_000)


def holes(ending: Ending) -> None:
    ending.manifest.verdict, ending.manifest.gaps = "known gaps", {"opened": 3, "healed": 2}


def drift(ending: Ending) -> None:
    ending.manifest.fields = {"field orderbook_delta.msg.venue": 12}


def audits(ending: Ending) -> None:
    ending.manifest.tally.audits = {"consistent": 1, "exact": 3}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (pending, "90,000 + 9,000 pending"),
        (holes, "verdict known gaps: 3 gaps opened, 2 healed, the table gaps has each"),
        (audits, "audits against REST: 3 exact, 1 consistent"),
        (drift, "new here, kept in the journal: field orderbook_delta.msg.venue"),
    ],
)
def test_what_is_not_as_it_should_be_is_said(change: Callable[[Ending], None], said: str) -> None:
    ending = some_ending()
    assert said not in shown(ending)

    change(ending)

    assert said in shown(ending)


def test_where_a_recording_was_played_its_age_is_said_in_hours() -> None:
    ending = some_ending()
    ending.manifest.lateness_ms["clock_skew"]["estimate"] = 22_712_269_353.49

    said = shown(ending)

    assert "the exchange's stamps are 6,309.0 hours old" in said
    assert "exchange to receive" not in said
    assert "receive to parquet" in said


def test_a_session_in_which_nothing_happened_has_a_summary() -> None:
    ending = Ending(Manifest("s", "SESSION_x", "live", "1", ""), {}, 0.2)

    assert shown(ending).startswith("SESSION_x: 0 frames of 0 markets in 0.2s\nverdict open: it was not sealed\n")


def test_a_tally_that_does_not_balance_is_an_error(logs: Logs) -> None:
    ending = some_ending()
    say_summary(ending, Console(file=io.StringIO()))
    assert errors() == 0

    ending.manifest.tally.journalled -= 1
    say_summary(ending, Console(file=io.StringIO()))

    assert logs.messages()[-1].startswith("The tally does not balance")
    assert errors() == 1


def test_a_market_of_which_no_book_ever_came_is_warned_of(logs: Logs) -> None:
    ending = some_ending()
    ending.manifest.missing = ["KXNOPE"]

    say_summary(ending, Console(file=io.StringIO()))

    assert logs.messages()[-1] == "No book ever came of KXNOPE"
    assert errors() == 0


def test_names_that_strangers_chose_are_text_on_one_line() -> None:
    ending = some_ending()
    ending.manifest.fields = {"field [red]x[/red]\n\x1b[31m": 1}

    assert "[red]x[/red]\\n\\x1b[31m" in shown(ending)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_it_fits(width: int) -> None:
    assert max(cell_len(line) for line in shown(some_ending(), width).splitlines()) <= width


def test_without_a_terminal_the_summary_is_lines_of_the_log(logs: Logs) -> None:
    say_summary(some_ending(), Console(file=io.StringIO()))

    console = logs.console()
    assert f"INFO     | {TALLY}" in console
    assert any(line.startswith("INFO     | SESSION_20261124_050102: 100,271 frames") for line in console)
    assert any(line.startswith("INFO     | deltas ") for line in console)


def test_on_a_terminal_it_is_printed_once_and_kept_in_the_file(logs: Logs) -> None:
    screen = io.StringIO()

    say_summary(some_ending(), Console(file=screen, force_terminal=True, width=100))

    assert "100,271 frames" in screen.getvalue()
    assert logs.console()[1:] == [f"INFO     | {TALLY}"]
    assert TALLY in logs.messages()
    assert any("100,271 frames" in message for message in logs.messages())


def test_nothing_is_written_where_no_log_is_open(tmp_path: Path) -> None:
    say_summary(some_ending(), Console(file=io.StringIO()))

    assert list(tmp_path.iterdir()) == []
