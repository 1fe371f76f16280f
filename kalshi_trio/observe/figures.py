"""Numbers as people read them; none of them is read by a program."""

from __future__ import annotations

from collections.abc import Mapping


def price(e4: int | None, decimals: int = 4) -> str:
    """1/10,000 dollar as dollars; a dash where there is none."""
    return "-" if e4 is None else f"{e4 // 10_000}.{e4 % 10_000:04d}"[: decimals - 4 or None]


def count(e2: int | None) -> str:
    """1/100 contract as contracts, without needless decimals."""
    if e2 is None:
        return "-"
    return f"{e2 // 100:,}.{e2 % 100:02d}".rstrip("0").rstrip(".")


def size(nbytes: float) -> str:
    """Bytes in a unit of three digits at most."""
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 999.5:
            return f"{nbytes:.0f} {unit}" if nbytes >= 9.95 or unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1000
    return f"{nbytes:,.0f} TB"


def span(seconds: float) -> str:
    """A short time: `0.3s`, `42s`, `5m 03s`, `2h 07m`."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}m {rest:02d}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02d}m"


def clock(seconds: float) -> str:
    """A long time: `0:12:34`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def plural(number: int, noun: str) -> str:
    """`1 reconnect`, `2 reconnects`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def verdicts(audits: Mapping[str, int]) -> str:
    """What audits found: `12 exact, 3 consistent`; empty for none."""
    order = ("exact", "consistent", "inconsistent", "undecidable")
    return ", ".join(f"{audits[name]:,} {name}" for name in order if audits.get(name))
