#!/usr/bin/env bash
# Reproduce results/elsewhere.csv: the recipe of painted defects, unchanged, where pictures are not black and white.
#
#   bash scripts/run_elsewhere.sh [PATH/TO/SOLDER]
#
# Coloured synthetic boards, painted here, as many pictures as the recipe was measured on, and once more with the pattern
# read from a part of each picture; and, where PATH holds the class folders of furkanulger/solder-joint-dataset, its crops
# without their labels. About an hour on 2 cores. Finished runs are kept; an interrupted one is resumed.
solder=${1:+$(cd "$1" && pwd)}
runs=runs/elsewhere
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

recipe=configs/pretrain/few_labels_exact.yaml
boards="$runs/colour_boards/manifest.csv"
if [ ! -e "$boards" ]; then
    ssl-pcb data synth "$runs/colour_boards" --style colour --boards 240 --images-per-board 80 --zoom 2
fi
coloured() { # coloured NAME [FLAG...]: painted defects on the coloured boards, and what they are worth
    stage pretrain "$runs/$1-pretext" --config "$recipe" --data "$boards" "${@:2}"
    stage linear-eval "$runs/$1-probes" --checkpoint "$runs/$1-pretext" --data "$boards" --image-size 64
}
coloured colour_boards
coloured colour_boards_window --set method.defect.tones=window
if [ -n "$solder" ]; then
    if [ ! -e "$runs/solder.csv" ]; then
        ssl-pcb data import folder "$solder" "$runs/solder.csv" --group-from none --label-map '*=unlabelled'
    fi
    stage pretrain "$runs/solder-pretext" --config "$recipe" --data "$runs/solder.csv" --use-unsplit
fi
python scripts/results_elsewhere.py "$runs"
