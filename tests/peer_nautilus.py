"""Run by the peers' Python: nautilus_trader reads an exported catalog; what its books say is printed as JSON.

    peer_nautilus.py FOLDER TICKER NS…

At each of these times of receipt, and at the end: best bid, its size, best ask, its size (1/10,000 dollar, 1/100
contract, 0 where there is none); at the end all levels, too, and the trades.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from nautilus_trader.core.nautilus_pyo3 import DataBackendSession  # type: ignore[import-not-found]  # noqa: F401
from nautilus_trader.model.book import OrderBook  # type: ignore[import-not-found]
from nautilus_trader.model.data import OrderBookDelta, TradeTick  # type: ignore[import-not-found]
from nautilus_trader.model.enums import BookType, RecordFlag  # type: ignore[import-not-found]
from nautilus_trader.model.identifiers import InstrumentId  # type: ignore[import-not-found]
from nautilus_trader.persistence.catalog import ParquetDataCatalog  # type: ignore[import-not-found]


def tops(book: Any) -> list[int]:
    sides = ((book.best_bid_price(), book.best_bid_size()), (book.best_ask_price(), book.best_ask_size()))
    found: list[int] = []
    for price, size in sides:
        found += [0, 0] if price is None else [whole(price, 4), whole(size, 2)]
    return found


def whole(number: Any, places: int) -> int:
    return int(number.as_decimal().scaleb(places))


def main(folder: str, ticker: str, *stamps: str) -> None:
    name = f"{ticker}.KALSHI"
    catalog = ParquetDataCatalog(folder)
    deltas = catalog.query(OrderBookDelta, identifiers=[name])
    trades = catalog.query(TradeTick, identifiers=[name])
    book = OrderBook(InstrumentId.from_str(name), BookType.L2_MBP)
    along, waiting, crossed = [], sorted(map(int, stamps)), 0
    for delta in deltas:
        while waiting and waiting[0] < delta.ts_init:
            waiting.pop(0)
            along.append(tops(book))
        book.apply_delta(delta)
        if delta.flags & RecordFlag.F_LAST:
            bid, _, ask, _ = tops(book)
            crossed += 0 < ask < bid
    along += [tops(book) for _ in waiting]
    levels = {
        side: {whole(level.price, 4): round(level.size() * 100) for level in some}
        for side, some in (("bids", book.bids()), ("asks", book.asks()))
    }
    told = [[whole(t.price, 4), whole(t.size, 2), t.aggressor_side.name, str(t.trade_id)] for t in trades]
    print(json.dumps({"along": along, "last": tops(book), **levels, "trades": told, "crossed": crossed}))  # noqa: T201


main(*sys.argv[1:])
