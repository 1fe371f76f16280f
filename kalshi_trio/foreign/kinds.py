"""What people have that is no file of JSON lines: told by its beginning, and what to do with it."""

from __future__ import annotations

import re
from pathlib import Path

from kalshi_trio.errors import UsageError

_LINES = "write it as JSON lines"
_BINARY: tuple[tuple[bytes, str, str], ...] = (
    (
        b"SQLite format 3\0",
        "an SQLite database",
        """sqlite3 FILE "SELECT json_object('recv_ns', TIME, 'raw', FRAME) FROM TABLE" > FILE.jsonl""",
    ),
    (
        b"PAR1",
        "a Parquet file",
        """duckdb -c "COPY (SELECT TIME AS recv_ns, FRAME AS raw FROM 'FILE') TO 'FILE.jsonl' (FORMAT json)" """,
    ),
    (b"ARROW1", "an Arrow file", f"{_LINES}: a line a row, with the time in `recv_ns` and the frame's text in `raw`"),
    (b"\x89HDF", "an HDF5 file", f"{_LINES}: a line a row, with the time in `recv_ns` and the frame's text in `raw`"),
    (
        b"\x0a\x0d\x0d\x0a",
        "a capture of packets (pcapng)",
        "frames are encrypted in it: record what the client receives",
    ),
    (b"\xd4\xc3\xb2\xa1", "a capture of packets (pcap)", "frames are encrypted in it: record what the client receives"),
    (b"\xa1\xb2\xc3\xd4", "a capture of packets (pcap)", "frames are encrypted in it: record what the client receives"),
    (b"\x4d\x3c\xb2\xa1", "a capture of packets (pcap)", "frames are encrypted in it: record what the client receives"),
    (b"PK\x03\x04", "a zip archive", "unzip it and give the files in it, in their order"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it and give the files in it, in their order"),
    (b"Rar!", "a RAR archive", "unpack it and give the files in it, in their order"),
    (b"\x04\x22\x4d\x18", "packed with lz4", "unpack it: lz4 -d FILE"),
    (b"\xff\x06\x00\x00sNaPpY", "packed with Snappy", "unpack it first"),
    (b"\xff\xfe", "text in UTF-16", "iconv -f UTF-16 -t UTF-8 FILE > FILE.jsonl"),
    (b"\xfe\xff", "text in UTF-16", "iconv -f UTF-16 -t UTF-8 FILE > FILE.jsonl"),
)
_TAR = slice(257, 262)
_BOM = b"\xef\xbb\xbf"
_ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*\{")
_HAR = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"log"\s*:\s*\{')
_BEFORE_JSON = re.compile(rb'[^{"\[]*\d[^{]*?\s*\{.*')


def refuse_other_kinds(path: Path, head: bytes) -> None:
    """Raises UsageError for the beginning of a file, unpacked, that is surely no JSON lines: what it is and what to do."""
    if _ARRAY.match(head) or _HAR.match(head):
        raise UsageError(text_of_another_kind(path, head))
    found = next(((what, advice) for magic, what, advice in _BINARY if head.startswith(magic)), None)
    if found is None and head[_TAR] == b"ustar":
        found = "a tar archive", "unpack it and give the files in it, in their order"
    if found is None and b"\0" in head[:1000] and b"\n" not in head[:1000]:
        found = "no text", f"{_LINES}: a frame a line, as the websocket brought it"
    if found is not None:
        raise UsageError(_said(path, *found))


def text_of_another_kind(path: Path, head: bytes) -> str:
    """What a text is in which no line could be taken, by its beginning, and what to do; empty if nobody can tell."""
    text = head.removeprefix(_BOM).lstrip()
    line = text.partition(b"\n")[0].strip()
    if _HAR.match(text):
        frames = "jq -c '.log.entries[]._webSocketMessages[]? | select(.type == \"receive\") | {received_s: .time, raw: .data}'"
        return _said(path, "a browser's HAR", f"{frames} FILE > FILE.jsonl")
    if line.startswith(b"["):
        return _said(path, "a JSON array", "write an element a line: jq -c '.[]' FILE > FILE.jsonl")
    if line == b"{" or (line.startswith(b"{") and not line.endswith(b"}") and b"\n" in text):
        return _said(path, "JSON over several lines", "write an object a line: jq -c . FILE > FILE.jsonl")
    if _BEFORE_JSON.fullmatch(line):
        shift = """sed -E 's/^[^0-9]*([0-9][0-9TZ:.,+ -]*[0-9Z])[^{]*(\\{.*)$/{"received_at":"\\1","frame":\\2}/'"""
        return _said(path, "text with something before the JSON of each line", f"{shift} FILE > FILE.jsonl")
    if not line.startswith((b"{", b'"')) and (b"," in line or b"\t" in line or b";" in line):
        return _said(
            path,
            "a table (CSV)",
            f"{_LINES}: a line a row, with the time in `recv_ns` and the frame's text in `raw`; without the frames as the "
            "websocket brought them there is nothing to import",
        )
    return ""


def _said(path: Path, what: str, advice: str) -> str:
    return f"{path} is {what}, which is not taken: {advice.strip().replace('FILE', path.name)}"
