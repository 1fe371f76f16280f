#!/usr/bin/env python
"""`scripts/replay.py SESSION …` is `python -m kalshi_trio replay SESSION …`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from kalshi_trio.cli import main

if __name__ == "__main__":
    main(["replay", *sys.argv[1:]])
