#!/usr/bin/env bash
# Lint, types and tests, as the README says and CI runs them.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
"$bin/ruff" check .
"$bin/ruff" format --check .
# ASYNC9: a checkpoint a function is a style; ASYNC114: `session.start` takes startable functions, too.
# ASYNC127: httpx is the client that was asked for, not (yet) httpx2, which goes on from it.
ignored=ASYNC9,ASYNC114,ASYNC127
git ls-files 'kalshi_trio/*.py' 'scripts/*.py' | xargs "$bin/flake8" --select ASYNC --extend-ignore "$ignored"
# Tests open nurseries to look at their groups (112, 401), and have fakes that need not wait (124).
git ls-files 'tests/*.py' | xargs "$bin/flake8" --select ASYNC --extend-ignore "$ignored,ASYNC112,ASYNC124,ASYNC401"
"$bin/mypy"
# Two at once, a file each: most tests wait for processes more than they compute.
"$bin/pytest" -n 2 --dist loadfile "$@"
