#!/usr/bin/env bash
# What the run_*.sh scripts share. Sourced by them with the folder of the runs in $runs; makes it.
source "$(dirname "${BASH_SOURCE[0]}")/setup_venv.sh"
mkdir -p "${runs:?set runs before sourcing}"

deeppcb_tiles() { # deeppcb_tiles FOLDER: write $runs/tiles.csv from DeepPCB's official layout, split by board
    if [ -e "$runs/tiles.csv" ]; then return; fi
    ssl-pcb data import deeppcb "$1" "$runs/unsplit.csv" --overwrite
    ssl-pcb data split "$runs/unsplit.csv" --out "$runs/tiles.csv" \
        --assign train=00041,13000,20085 --assign val=12000,12300 --assign test=44000,77000,92000
}

stage() { # stage NAME OUT ...: run the stage into OUT, unless it is finished there; resume what was interrupted
    local name=$1 out=$2
    shift 2
    if grep -qs '"status": "finished"' "$out/run.json"; then return; fi
    local resume=()
    if [ -e "$out/run.json" ]; then resume=(--resume); fi
    ssl-pcb "$name" --out "$out" "$@" ${resume[@]+"${resume[@]}"}
}

cells_at() { # cells_at SIZE: $cells, the strides of maps where tiles are large, as 'ssl-pcb pretrain' has them by itself
    cells=()
    if [ "$1" -ge 96 ]; then cells=(--set "backbone.strides=[16,32]"); fi
}

golden_from_repeats() { # write $runs/found/manifest.csv: $runs/tiles.csv with golden images put together from repeats
    if ! [ -e "$runs/found/manifest.csv" ]; then ssl-pcb data golden "$runs/tiles.csv" --out "$runs/found"; fi
}

# work_off SWEEP FOLDER [ENTRY...]: make all runs of the sweep there, or the ENTRIES', WORKERS (2) at a time. If one fails,
# the script goes on to the results of the others, and fails at its end.
work_off() {
    local others=() only=() each
    for each in "${@:3}"; do only+=(--only "$each"); done
    mkdir -p "$2"
    for ((each = 2; each <= ${WORKERS:-2}; each++)); do
        ssl-pcb sweep "$1" --out "$2" ${only[@]+"${only[@]}"} >"$2/worker-$each.log" 2>&1 &
        others+=($!)
    done
    ssl-pcb sweep "$1" --out "$2" ${only[@]+"${only[@]}"} || trap 'exit 1' EXIT
    for each in ${others[@]+"${others[@]}"}; do wait "$each" || trap 'exit 1' EXIT; done
}
