#!/usr/bin/env bash
# Reproduce results/heat_maps.csv: do heat maps point at the defects?
#
#   bash scripts/run_heat_maps.sh
#
# Takes two finished runs of scripts/run_history.sh, made before: finetunings from painted defects, of seed 0. A minute on
# one core. The test boards are not looked at.
runs=runs/history
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

python scripts/results_heat_maps.py "$runs"/sweep/no_augmentation-0-* "$runs"/sweep/painted_defects_first-0-*
