"""Run by the peers' Python: writes a catalog with nautilus_trader itself, and prints its files' schemas as JSON.

peer_schemas.py INSTRUMENT FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
from nautilus_trader.model.data import BookOrder, OrderBookDelta, TradeTick  # type: ignore[import-not-found]
from nautilus_trader.model.enums import AggressorSide, BookAction, OrderSide  # type: ignore[import-not-found]
from nautilus_trader.model.identifiers import InstrumentId, TradeId  # type: ignore[import-not-found]
from nautilus_trader.model.objects import Price, Quantity  # type: ignore[import-not-found]
from nautilus_trader.persistence.catalog import ParquetDataCatalog  # type: ignore[import-not-found]


def main(instrument: str, folder: str) -> None:
    name, price, size = InstrumentId.from_str(instrument), Price.from_str("0.5000"), Quantity.from_str("3.00")
    order = BookOrder(OrderSide.BUY, price, size, 0)
    catalog = ParquetDataCatalog(folder)
    catalog.write_data([OrderBookDelta(name, BookAction.ADD, order, 128, 1, 5, 6)])
    catalog.write_data([TradeTick(name, price, size, AggressorSide.BUYER, TradeId("x"), 5, 6)])
    found = {}
    for path in Path(folder).rglob("*.parquet"):
        found[path.parent.parent.name] = pq.read_schema(path).to_string(show_schema_metadata=True)
    print(json.dumps(found))  # noqa: T201


main(*sys.argv[1:])
