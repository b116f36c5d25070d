#!/usr/bin/env bash
# Lint, types and tests. --all adds the slow tests. Other arguments go to pytest.
source "$(dirname "${BASH_SOURCE[0]}")/setup_venv.sh"

select=(-m "not slow")
if [ "${1:-}" = "--all" ]; then
    select=()
    shift
fi
ruff check .
ruff format --check .
mypy
python -m pytest ${select[@]+"${select[@]}"} "$@"
