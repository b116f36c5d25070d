#!/usr/bin/env bash
# Reproduce results/audit_shortcuts.csv: what 'ssl-pcb audit shortcuts' says of labels that are known to leak, and of tiles.
#
#   bash scripts/run_shortcuts.sh PATH/TO/DEEPPCB PATH/TO/SOLDER
#
# SOLDER holds the class folders of furkanulger/solder-joint-dataset. A few minutes on 2 cores; finished audits are kept.
# Test boards are in the manifests, and not looked at.
deeppcb=$(cd "${1:?give the folder of DeepPCB}" && pwd)
solder=$(cd "${2:?give the folder of the solder joints}" && pwd)
runs=runs/shortcuts
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

judge() { # judge NAME: audit $runs/NAME.csv into $runs/NAME, unless that is done; a finding (exit 1) is an outcome
    if [ -e "$runs/$1/audit.json" ]; then return; fi
    ssl-pcb audit shortcuts "$runs/$1.csv" --out "$runs/$1" || [ $? -eq 1 ]
}

deeppcb_tiles "$deeppcb"
judge tiles
if [ ! -e "$runs/templates.csv" ]; then
    ssl-pcb data import deeppcb "$deeppcb" "$runs/pairs.csv" --templates --tile 0 --overwrite
    ssl-pcb data split "$runs/pairs.csv" --out "$runs/templates.csv" \
        --assign train=00041,13000,20085 --assign val=12000,12300 --assign test=44000,77000,92000
fi
judge templates
if [ ! -e "$runs/solder.csv" ]; then
    ssl-pcb data import folder "$solder" "$runs/solder.csv" --group-from none --label-map 'normal=NonDefective,*=Defective'
fi
judge solder
python scripts/results_shortcuts.py "$runs"
