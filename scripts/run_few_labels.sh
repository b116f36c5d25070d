#!/usr/bin/env bash
# Reproduce rows of results/few_labels.csv: how few labels each start needs, board-disjoint on DeepPCB.
#
#   bash scripts/run_few_labels.sh PATH/TO/DEEPPCB [ROW...]
#
# PATH holds DeepPCB's official layout (PCBData/group*/...). A row is a method that has a config
# configs/pretrain/few_labels_ROW.yaml, or scratch, or golden (what golden images add), or found (golden images put
# together from repeats on the same board in their place), or imagenet (IMAGENET names a file of resnet18's weights), or
# tuning (the rates and augmentations of finetuning, sweeps of their own, of which WORKERS runs, 2 by default, are made at
# a time). With _context behind it the network also sees what surrounds a tile, an eighth of its side on each side
# (exact_context, scratch_context, golden_context), and with _golden or _found before that golden images as channels
# beside the painted ones (exact_golden_context,
# exact_found_context). Without any, all of them but imagenet and tuning, one after another. A row takes one to three hours
# of one core. SIZE=128 and SEED=1 in the environment change image size (and with it the strides of maps) and seed;
# TEST=true also looks at the test boards and records it in results/test_ledger.csv; TTA=symmetries judges by eight views,
# in run folders that end in -tta. Finished runs are kept; an interrupted one is resumed.
source_folder=$(cd "${1:?give the folder of DeepPCB}" && pwd)
shift
runs=runs/few_labels
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

size=${SIZE:-64} seed=${SEED:-0}
judged=(--set "test=${TEST:-false}" --tta "${TTA:-none}") views=
if [ "${TTA:-none}" = symmetries ]; then views=-tta; fi

cells_of() { # cells_of NETWORK: $cells, the strides of its maps, if it has any
    cells=()
    if [ "$1" != own_end ]; then cells_at "$size"; fi
}

finetune_row() { # finetune_row RUN NETWORK CHECKPOINT [FLAG...]: with 1, 10 and 100 % of the labels
    local head_start=probe use=finetune
    if [ "$3" = none ]; then head_start=random; fi
    if [ "$2" = painted ]; then use=painting; fi
    cells_of "$2"
    for fraction in 0.01 0.1 1.0; do
        stage finetune "$1-$use-$fraction$views" --config "configs/finetune/few_labels_$2.yaml" --checkpoint "$3" \
            --set "fraction=$fraction" --set "head_start=$head_start" ${cells[@]+"${cells[@]}"} "${common[@]}" \
            "${judged[@]}" "${@:4}"
    done
}

probe_row() { # probe_row RUN NETWORK CHECKPOINT [FLAG...]: without labels, and with 1, 10 and 100 % of them
    cells_of "$2"
    stage linear-eval "$1-probes$views" --config "configs/linear_eval/few_labels_$2.yaml" --checkpoint "$3" \
        ${cells[@]+"${cells[@]}"} "${common[@]}" "${judged[@]}" "${@:4}"
}

deeppcb_tiles "$source_folder"
if [ $# = 0 ]; then
    for file in configs/pretrain/few_labels_*.yaml; do
        row=${file##*few_labels_}
        set -- "$@" "${row%.yaml}"
    done
    set -- scratch scratch_context golden golden_context "$@" found_context exact_context exact_golden_context \
        exact_found_context
fi
for row in "$@"; do
    run="$runs/$row-$size-$seed" start=${row%_context} references=() data="$runs/tiles.csv"
    case "$start" in
        *golden) references=(--references) ;;
        *found) references=(--references) data="$runs/found/manifest.csv" ;;
    esac
    if [ "$data" != "$runs/tiles.csv" ]; then golden_from_repeats; fi
    common=(--data "$data" --image-size "$size" --seed "$seed")
    if [ "$start" != "$row" ]; then
        common=(--data "$data" --image-size $((size * 5 / 4)) --set "data.context=$((size / 8))" --seed "$seed")
    fi
    if [ "$row" = scratch ]; then
        for network in own_end maps neck; do
            finetune_row "$runs/scratch_$network-$size-$seed" "$network" none
        done
        finetune_row "$runs/scratch_neck-$size-$seed" painted none
        continue
    fi
    if [ "$row" = scratch_context ]; then
        finetune_row "$runs/scratch_neck_context-$size-$seed" neck none
        continue
    fi
    if [ "$row" = tuning ]; then
        for kind in scratch painted; do
            sweep=configs/sweeps/few_labels_$kind.yaml
            work_off "$sweep" "$runs/tuning_$kind"
            python scripts/results_sweep.py "$sweep" "$runs/tuning_$kind" "few_labels_tuning_$kind"
        done
        continue
    fi
    if [ "$start" = golden ] || [ "$start" = found ]; then
        probe_row "$run" neck none --references
        finetune_row "$run" neck none --references
        continue
    fi
    if [ "$row" = imagenet ]; then
        probe_row "$run" maps "${IMAGENET:?give a file of resnet18 weights in IMAGENET}"
        finetune_row "$run" maps "$IMAGENET"
        continue
    fi
    start=${start%_golden} start=${start%_found}
    config="configs/pretrain/few_labels_$start.yaml"
    network=own_end neck=$(sed -n 's/^  neck: //p' "$config")
    if grep -q "^  - 8$" "$config"; then network=maps; fi
    if [ "$neck" != 0 ]; then network=neck; fi
    flags=(--set "backbone.neck=$neck" ${references[@]+"${references[@]}"})
    cells_of "$network"
    stage pretrain "$run" --config "$config" ${cells[@]+"${cells[@]}"} "${common[@]}" ${references[@]+"${references[@]}"}
    probe_row "$run" "$network" "$run" "${flags[@]}"
    finetune_row "$run" "$network" "$run" "${flags[@]}"
    if [ "$start" = exact ]; then finetune_row "$run" painted "$run" "${flags[@]}"; fi
    if [ "$row" = exact_golden_context ]; then python scripts/results_misaligned.py "$run"; fi
done
python scripts/results_few_labels.py "$runs"
