#!/usr/bin/env bash
# Make the finalists of results/README.md ("How few labels"), as amended on the validation boards: judged by eight views,
# painting on at 3e-4, by images alone and beside golden images from repeats. What it says of the test boards goes to
# results/few_labels.csv.
#
#   bash scripts/run_finalists.sh PATH/TO/DEEPPCB
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). Seeds 1, 2 and 3, or those that SEEDS in the environment
# names (0 has looked at the test boards in its first recipe); SIZE=128 changes the image size. Each run looks at the test
# boards once and records it in results/test_ledger.csv. At 64 px a seed takes some five hours of one core. Finished runs
# are kept; an interrupted one is resumed.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
runs=runs/few_labels
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

size=${SIZE:-64}
deeppcb_tiles "$source_folder"
golden_from_repeats
cells_at "$size"

look() { # look STAGE RUN NETWORK CHECKPOINT [FLAG...]: judged by eight views on the validation and the test boards
    stage "$1" "$runs/$2-tta" --config "configs/${1/-/_}/few_labels_$3.yaml" --checkpoint "$4" "${common[@]}" \
        --tta symmetries --set test=true "${@:5}"
}

few=(--set head_start=probe --set fraction=0.01 --lr 3e-4)
for seed in ${SEEDS:-1 2 3}; do
    at=context-$size-$seed
    for beside in none found; do
        start=exact scratch=scratch_neck data="$runs/tiles.csv" references=()
        if [ "$beside" = found ]; then
            start=exact_found scratch=found data="$runs/found/manifest.csv" references=(--references)
        fi
        common=(
            --data "$data" --image-size $((size * 5 / 4)) --set "data.context=$((size / 8))" --seed "$seed"
            ${cells[@]+"${cells[@]}"} ${references[@]+"${references[@]}"}
        )
        stage pretrain "$runs/${start}_$at" --config configs/pretrain/few_labels_exact.yaml "${common[@]}"
        painted=("$runs/${start}_$at" --set backbone.neck=7)
        look linear-eval "${start}_$at-probes" neck "${painted[@]}" --set "fractions=[0.01,1.0]"
        look finetune "${start}_$at-painting-0.01" painted "${painted[@]}" "${few[@]}"
        look finetune "${start}_$at-finetune-1.0" neck "${painted[@]}" --set head_start=probe
        look finetune "${scratch}_$at-finetune-1.0" neck none
    done
done
python scripts/results_few_labels.py "$runs"
