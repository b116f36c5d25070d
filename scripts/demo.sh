#!/usr/bin/env bash
# The whole job on embedded synthetic boards, from nothing but Python. Arguments go to 'ssl-pcb demo'.
source "$(dirname "${BASH_SOURCE[0]}")/setup_venv.sh"
if [ $# -eq 0 ]; then set -- --out "demo/$(date +%Y%m%d-%H%M%S)"; fi
exec ssl-pcb demo "$@"
