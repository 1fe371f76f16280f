#!/usr/bin/env bash
# Makes .venv with everything pinned by version and hash, and installs this project into it. Needs Python 3.11 or newer.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "error: Python 3.11 or newer is needed ($("$python" --version) found); set PYTHON to one" >&2
    exit 2
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv
echo "Installing pinned packages into .venv (about 1.5 GB; a minute or two the first time) ..." >&2
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
