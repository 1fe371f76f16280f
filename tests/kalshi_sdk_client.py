"""kalshi-sdk as a client, for Python 3.12 or later: `kalshi_sdk_client.py URL KEY MARKET…`.

Reads from standard input how many book messages there are in all; once it has them, prints its books as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator

from kalshi import KalshiAuth, KalshiConfig  # type: ignore[import-not-found]  # it does not install where mypy runs
from kalshi.ws.client import KalshiWebSocket  # type: ignore[import-not-found]  # as above


async def main(url: str, key: str, markets: list[str]) -> None:
    """Its own connection, its own check of the sequence, its own books."""
    auth, config = KalshiAuth.from_key_path("any", key), KalshiConfig(ws_base_url=url)
    got = 0

    async def count(stream: AsyncIterator[object]) -> None:
        nonlocal got
        async for _ in stream:
            got += 1

    async with KalshiWebSocket(auth=auth, config=config).connect() as session:
        counting = asyncio.create_task(count(await session.subscribe_orderbook_delta(tickers=markets, maxsize=10**6)))
        total = int(await asyncio.to_thread(sys.stdin.readline))
        while got < total:  # noqa: ASYNC110  a client ends by itself, or its test ends it
            await asyncio.sleep(0.01)
        counting.cancel()
        books = {market: session._orderbook_mgr.get(market) for market in markets}
    found = {
        f"{market} {side}": {str(level.price): str(level.quantity) for level in getattr(book, side)}
        for market, book in books.items()
        for side in ("yes", "no")
        if book is not None
    }
    sys.stdout.write(json.dumps({"got": got, "books": found}))


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
