#!/usr/bin/env bash
# Reproduce results/history.csv: a year of experiments as one sweep, board-disjoint on DeepPCB.
#
#   bash scripts/run_history.sh PATH/TO/DEEPPCB
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). The sweep says what it will cost before it starts: about
# three hours on 2 cores. WORKERS=4 in the environment makes as many runs at once, of one thread each; 2 by default.
# Only validation boards judge. Finished runs are kept: call it again to go on.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
runs=runs/history
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

deeppcb_tiles "$source_folder"
if [ ! -e "$runs/boards/manifest.csv" ]; then
    ssl-pcb data synth "$runs/boards" --image-size 600 --boards 16 --images-per-board 15
fi
work_off configs/sweeps/history.yaml "$runs/sweep"
python scripts/results_sweep.py configs/sweeps/history.yaml "$runs/sweep" history
