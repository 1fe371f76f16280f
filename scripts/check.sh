#!/usr/bin/env bash
# Lint, types and tests, as the README says and CI runs them.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
"$bin/ruff" check .
"$bin/ruff" format --check .
git ls-files '*.py' | xargs "$bin/flake8" --select ASYNC --extend-ignore ASYNC9,ASYNC114
"$bin/mypy"
"$bin/pytest" "$@"
