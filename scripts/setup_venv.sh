#!/usr/bin/env bash
# Make the virtual environment in .venv if there is none, and install this project with everything it needs.
# Sourced by the other scripts here; leaves the environment's programs first on PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# An environment without a working pip is one whose making was interrupted.
if ! .venv/bin/python -m pip --version > /dev/null 2>&1 && ! .venv/Scripts/python -m pip --version > /dev/null 2>&1; then
    "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "ssl-pcb needs Python 3.11 or newer; name one with PYTHON=..." >&2
        exit 2
    }
    "${PYTHON:-python3}" -m venv --clear .venv
fi
if [ -d .venv/Scripts ]; then bin=.venv/Scripts; else bin=.venv/bin; fi
export PATH="$PWD/$bin:$PATH"

# Installing again where nothing changed costs seconds; a stamp saves even those.
stamp=".venv/installed-$(cat pyproject.toml constraints.txt | cksum | tr -dc '0-9')"
if [ ! -e "$stamp" ]; then
    echo "installing into .venv (about 6 GB, a few minutes)"
    python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,dev]"
    touch "$stamp"
fi
