#!/usr/bin/env bash
# Reproduce results/streamed.csv: SimCLR and an autoencoder on DeepPCB and on a colour set, streamed from tar shards.
#
#   bash scripts/run_streamed.sh PATH/TO/DEEPPCB PATH/TO/SOLDER
#
# SOLDER is the solder-joint set of furkanulger/solder-joint-dataset: 3,389 colour crops from 7x7 to over 140x108 px,
# taken here without their labels. Finished runs are kept; an interrupted one is resumed. No test board is looked at.
deeppcb=$(cd "${1:?give the folder of DeepPCB}" && pwd)
solder=$(cd "${2:?give the folder of the solder joints}" && pwd)
runs=runs/streamed
source "$(dirname "${BASH_SOURCE[0]}")/setup_runs.sh"

deeppcb_tiles "$deeppcb"
if [ ! -e "$runs/deeppcb/index.json" ]; then
    ssl-pcb data shards "$runs/tiles.csv" "$runs/deeppcb" --image-size 64
fi
if [ ! -e "$runs/solder/index.json" ]; then
    unlabelled=normal=unlabelled,excessive_solder=unlabelled,insufficient_solder=unlabelled
    unlabelled+=,shifted_component=unlabelled,short=unlabelled
    ssl-pcb data import folder "$solder" "$runs/solder.csv" --overwrite --label-map "$unlabelled" --group-from none
    ssl-pcb data shards "$runs/solder.csv" "$runs/solder" --image-size 64 --use-unsplit
fi

for data in deeppcb solder; do
    for method in simclr autoencoder; do
        stage pretrain "$runs/$data-$method" --shards "$runs/$data/index.json" --use-unsplit --method "$method" \
            --image-size 64 --epochs 2
    done
done
python scripts/results_streamed.py "$runs"
