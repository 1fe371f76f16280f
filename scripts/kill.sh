#!/usr/bin/env bash
# Kills a recorder at full speed twenty times (or as often as is said), starts it again, compares every store to the journal,
# and where the gap begins to the last record that had reached the disk.
set -euo pipefail
cd "$(dirname "$0")/.."
KALSHI_KILL_ROUNDS="${1:-20}" "${PYTHON:-.venv/bin/python}" -m pytest -q tests/test_kill.py
