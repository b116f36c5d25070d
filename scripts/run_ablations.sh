#!/usr/bin/env bash
# Reproduce results/ablations.csv: what each part of learning painted defects is worth, board-disjoint on DeepPCB.
#
#   bash scripts/run_ablations.sh PATH/TO/DEEPPCB [ENTRY...]
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). An ENTRY is one of configs/sweeps/ablations.yaml, which is made
# with what it is compared with; without any, all of them. The sweep says what it will cost before it starts: about ten
# minutes an entry and core. WORKERS=4 in the environment makes as many runs at once, of one thread each; 2 by default.
# Only validation boards judge. Finished runs are kept: call it again to go on.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
runs=runs/ablations
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

deeppcb_tiles "$source_folder"
work_off configs/sweeps/ablations.yaml "$runs/sweep" "${@:2}"
python scripts/results_ablations.py configs/sweeps/ablations.yaml "$runs/sweep"
