"""Replies of an exchange whose frames are fixed beforehand: it can name its sids, and refuses the rest."""

from __future__ import annotations

from kalshi_trio.exchange.commands import Refused, parse
from kalshi_trio.exchange.replies import error, subscribed

FREE_SID = 900
"""Channels that the fixed frames do not have get sids from here on."""
NO_OTHER = "These frames were made beforehand: they have no other answers"


class CannedDesk:
    """Answers for one connection. Its replies carry no `seq`: the fixed frames have used them all."""

    def __init__(self, sids: dict[str, int]) -> None:
        self._sids = dict(sids)

    def command(self, text: str) -> list[bytes]:
        """`subscribed` with the sid that the fixed frames use, or an error."""
        try:
            command = parse(text)
        except Refused as refused:
            return [error(refused.code, refused.number)]
        if command.name != "subscribe":
            return [error(1, command.number, text=NO_OTHER)]
        return [subscribed(command.number, channel, self._sid(channel)) for channel in command.channels]

    def _sid(self, channel: str) -> int:
        return self._sids.setdefault(channel, FREE_SID + len(self._sids))
