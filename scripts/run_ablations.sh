#!/usr/bin/env bash
# Reproduce rows of results/ablations.csv: what each part of learning painted defects is worth, board-disjoint on DeepPCB,
# judged by eight views: by these, seeds hardly differ.
#
#   bash scripts/run_ablations.sh PATH/TO/DEEPPCB [NAME...]
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). A NAME is a file configs/pretrain/ablations/NAME.yaml;
# without any, all of them. 5 to 40 minutes each on one core. SEED=1 in the environment changes the seed. Only validation
# boards judge. Finished runs are kept; an interrupted one is resumed.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
shift
runs=runs/ablations
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

seed=${SEED:-0}
deeppcb_tiles "$source_folder"
if [ $# = 0 ]; then
    for file in configs/pretrain/ablations/*.yaml; do
        set -- "$@" "$(basename "$file" .yaml)"
    done
fi
for name in "$@"; do
    config="configs/pretrain/ablations/$name.yaml"
    seen=(--image-size "$(sed -n 's/^  image_size: //p' "$config")" --set "data.context=$(sed -n 's/^  context: //p' "$config")")
    common=(--data "$runs/tiles.csv" --seed "$seed")
    stage pretrain "$runs/$name-$seed" --config "$config" "${common[@]}"
    stage linear-eval "$runs/$name-$seed-probes" --checkpoint "$runs/$name-$seed" --tta symmetries "${seen[@]}" \
        "${common[@]}"
done
python scripts/results_ablations.py "$runs"
