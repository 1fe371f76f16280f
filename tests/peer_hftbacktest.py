"""Run by the peers' Python: hftbacktest plays an export; what it believes of the book is printed as JSON.

    peer_hftbacktest.py FILE.npz NS…

For both kinds of depth that it has, at each of these times of receipt, and at the end: best bid, its size, best ask, its
size (ticks of 1/10,000 dollar, lots of 1/100 contract, 0 where there is none); at the end all levels and trades, too.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import hftbacktest as hft  # type: ignore[import-not-found]
import numpy as np
from hftbacktest.data.validation import validate_event_order  # type: ignore[import-not-found]

TICK, LOT, DOLLAR = 0.0001, 0.01, 10_000


def tops(depth: Any) -> list[int]:
    found = []
    sides = ((depth.best_bid, depth.bid_qty_at_tick), (depth.best_ask, depth.ask_qty_at_tick))
    for price, size_at in sides:  # its own `best_bid_qty` is the price, in one of the two kinds of depth
        tick = round(price / TICK) if np.isfinite(price) else 0
        found += [tick, round(size_at(tick) / LOT)] if 0 < tick < DOLLAR else [0, 0]
    return found


def play(kind: str, path: str, data: Any, stamps: list[int]) -> dict[str, Any]:
    asset = hft.BacktestAsset().data([path]).linear_asset(1.0).constant_order_latency(0, 0)
    asset = asset.risk_adverse_queue_model().no_partial_fill_exchange().trading_value_fee_model(0, 0)
    asset = asset.tick_size(TICK).lot_size(LOT).last_trades_capacity(len(data))
    if kind == "roi":
        backtest = hft.ROIVectorMarketDepthBacktest([asset.roi_lb(0.0).roi_ub(1.0)])
    else:
        backtest = hft.HashMapMarketDepthBacktest([asset])
    along = []
    backtest.elapse(0)  # only then does it know what time it is
    for stamp in stamps:
        backtest.elapse(stamp - backtest.current_timestamp)
        along.append(tops(backtest.depth(0)))
    while backtest.elapse(10**15) == 0:
        pass
    depth = backtest.depth(0)
    ticks = sorted({round(price / TICK) for price in np.unique(data["px"]) if np.isfinite(price)})
    bids = {tick: round(depth.bid_qty_at_tick(tick) / LOT) for tick in ticks}
    asks = {tick: round(depth.ask_qty_at_tick(tick) / LOT) for tick in ticks}
    return {
        "along": along,
        "last": tops(depth),
        "bids": {tick: size for tick, size in bids.items() if size},
        "asks": {tick: size for tick, size in asks.items() if size},
        "trades": [[round(t["px"] / TICK), round(t["qty"] / LOT)] for t in backtest.last_trades(0)],
    }


def main(path: str, *stamps: str) -> None:
    data = np.load(path)["data"]
    assert data.dtype == hft.event_dtype
    validate_event_order(data)
    print(json.dumps({kind: play(kind, path, data, [*map(int, stamps)]) for kind in ("hashmap", "roi")}))  # noqa: T201


main(*sys.argv[1:])
