#!/usr/bin/env bash
# Makes .venv-peers, once: the tools that read exports, in an environment of their own (they need older numpy and pandas),
# pinned by version and hash. Prints where its Python is.
set -euo pipefail
cd "$(dirname "$0")/.."
wanted="$(sha256sum requirements-peers.txt)"
if [ "$(cat .venv-peers/made-of 2>/dev/null)" != "$wanted" ]; then
    rm -rf .venv-peers
    "${PYTHON:-python3}" -m venv .venv-peers
    if command -v uv >/dev/null && uv pip install --quiet --python .venv-peers/bin/python --require-hashes -r requirements-peers.txt 1>&2; then
        :
    else
        .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-peers.txt 1>&2
    fi
    echo "$wanted" >.venv-peers/made-of
fi
echo "$PWD/.venv-peers/bin/python"
