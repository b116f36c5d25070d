"""Add the finished runs of scripts/run_few_labels.sh to results/few_labels.csv, and write its table anew.

python scripts/results_few_labels.py RUNS

A row that was measured before, perhaps on another machine, stays until the same row is measured again.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from results_cells import cell, over_seeds
from sklearn.metrics import roc_auc_score

from ssl_pcb.config.model import BackboneConfig
from ssl_pcb.config.probing import LinearEvalConfig
from ssl_pcb.data.manifest import LABELS, Manifest
from ssl_pcb.data.samples import load_samples
from ssl_pcb.data.tiles import only_cut_boxes
from ssl_pcb.decision.thresholds import choose_threshold
from ssl_pcb.evaluation.by_type import RANKING
from ssl_pcb.evaluation.floors import edge_count_scores, position_scores
from ssl_pcb.evaluation.metrics import AT_ESCAPE
from ssl_pcb.evaluation.reduction import fit_components
from ssl_pcb.evaluation.report import evaluate_scores
from ssl_pcb.reports.run import read_config, read_run
from ssl_pcb.stages.probing import probe_all, rows_of_table
from ssl_pcb.training.processes import alone

RESULTS = Path("results")
USES = r"(-(?P<use>probes|finetune|painting)(-(?P<labels>[\d.]+))?(-tta)?)?"
RUN = re.compile(rf"(?P<start>\w+)-(?P<size>\d+)-(?P<seed>\d+){USES}")
KEYS = ["start", "use", "labels", "size", "seed", "split"]
METRICS = ("auroc", "average_precision", *AT_ESCAPE)
PROBES = {
    "one_class": "distance", "defect_map": "defect map", "logistic": "linear probe",
    "reference_difference": "plain difference to the golden image",
}  # fmt: skip
TYPES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
COMPONENTS = 256
RATE = 1e-3
"""Of a finetuning whose row does not say another."""


def probed(folder: Path, name: dict[str, str]) -> Iterator[dict[str, Any]]:
    """What linear-eval measured, and the same for random weights beside it."""
    types = json.loads((folder / "summary.json").read_text())
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["probe"] in PROBES and row["split"] != "holdout":
            trained = row["backbone"] != "random_init"
            config = read_config(folder, "linear-eval")
            network = "neck" if config.backbone.neck else "maps" if config.backbone.strides else "own end"
            if config.data.context:
                network += ", context"
            if config.data.references and not trained:
                continue  # the same floor on re-encoded pictures
            found = measured(row, types if trained else {})
            if row["probe"] == "reference_difference":  # knows neither network nor view nor seed
                start = name["start"].removeprefix("exact_")
                yield {"start": start, "use": PROBES[row["probe"]], "seed": 0, "seconds_of_pretraining": None, **found}
                continue
            yield {
                "start": name["start"] if trained else f"random init, {network}",
                "use": PROBES[row["probe"]] + views_of(config.backbone), **found,
                **(map_by_board(folder, row["split"]) if row["probe"] == "defect_map" else {}),
            }  # fmt: skip


def views_of(backbone: BackboneConfig) -> str:
    """How a use is called where images are judged by eight views."""
    return ", eight views" if backbone.tta == "symmetries" else ""


def measured(row: dict[str, Any], summary: dict[str, Any]) -> dict[str, Any]:
    """The metrics of a line of linear-eval's table, with those by type where its summary has them."""
    found = {"labels": row["labels"], "split": row["split"]}
    for name in METRICS:
        found |= {name: row[name], f"{name}_low": row[f"{name}_low"], f"{name}_high": row[f"{name}_high"]}
    reports = summary.get("reports", {}) if row["probe"] == "logistic" and row["labels"] == 1 else {}
    if row["probe"] in ("defect_map", "reference_difference"):
        reports = summary.get("label_free_reports", {}).get(row["probe"], {})
    return found | types_of(reports.get(row["split"], {}))


def types_of(report: dict[str, Any]) -> dict[str, Any]:
    """AUROC and false-call rates of each defect type against all good tiles."""
    types = report.get("by_type", {}).items()
    return {f"{metric}_{name}": entry[metric] for name, entry in types for metric in RANKING}


def finetuned(folder: Path, name: dict[str, str]) -> Iterator[dict[str, Any]]:
    """What finetune measured."""
    for split, report in json.loads((folder / "summary.json").read_text())["reports"].items():
        if split != "holdout":
            use = "finetune" if name["use"] == "finetune" else "finetune, painting on"
            config = read_config(folder, "finetune")
            if config.select == "last":
                use += ", last epoch"
            if config.optimizer.lr != RATE:
                use += f", rate {config.optimizer.lr:g}"
            use += views_of(config.backbone)
            row = {"start": name["start"], "use": use, "labels": float(name["labels"]), "split": split}
            for metric in METRICS:
                entry = report["metrics"][metric]
                row |= {metric: entry["value"], f"{metric}_low": entry["low"], f"{metric}_high": entry["high"]}
            judged = pd.read_csv(folder / "predictions.csv", keep_default_na=False, dtype={"group": str})
            judged = judged.query("split == @split")
            yield row | types_of(report) | by_edge(config.data.manifest, judged) | by_board(judged)


def map_by_board(folder: Path, split: str) -> dict[str, float]:
    """The same of the defect map."""
    judged = pd.read_csv(folder / "defect_map_predictions.csv", keep_default_na=False, dtype={"group": str})
    return by_board(judged.query("split == @split"))


def by_board(judged: pd.DataFrame) -> dict[str, float]:
    """AUROC of each board's tiles among themselves."""
    found = {}
    for board, part in judged.groupby("group"):
        found[f"auroc_board_{board}"] = float(roc_auc_score(part["label"].eq(LABELS[1]), part["score"]))
    return found


def by_edge(file: Path, judged: pd.DataFrame) -> dict[str, float]:
    """AUROC of Defective tiles that hold a whole defect, and of those that hold only ones cut by the tile's edge."""
    manifest = Manifest.read(file)
    samples = [manifest.sample(row) for row in judged["row"]]
    defective = judged["label"].eq(LABELS[1]).to_numpy()
    cut = np.array([sample.crop is not None and only_cut_boxes(sample.crop, sample.boxes) for sample in samples])
    found = {}
    for name, chosen in (("cut", cut), ("whole", ~cut)):
        kept = chosen | ~defective
        found[f"auroc_{name}"] = float(roc_auc_score(defective[kept], judged["score"][kept]))
    return found


def runs(folder: Path) -> Iterator[dict[str, Any]]:
    """A row a finished run, use, label share and split."""
    for file in sorted(folder.glob("*/summary.json")):
        name = RUN.fullmatch(file.parent.name)
        if name is None or name["use"] is None:
            continue
        record, rows = read_run(file.parent), probed if name["use"] == "probes" else finetuned
        facts = {
            "size": int(name["size"]), "seed": int(name["seed"]), "seconds": record["seconds"],
            "seconds_of_pretraining": seconds_of(record["checkpoint"]), "hardware": hardware(record["hardware"]),
            "commit": record["commit"],
        }  # fmt: skip
        for row in rows(file.parent, name.groupdict()):
            yield facts | row


def seconds_of(checkpoint: str) -> float | None:
    """What the pretraining took that a run began with, if any."""
    return read_run(Path(checkpoint))["seconds"] if Path(checkpoint).is_dir() else None


def hardware(found: dict[str, Any]) -> str:
    """The GPU, or how many cores were at work."""
    if found["gpu"]:
        return str(found["gpu"])
    return f"{found['threads']} of {found['cores']} CPU cores, {found['cpu_capability']}"


def floors(folder: Path, config: LinearEvalConfig, commit: str) -> Iterator[dict[str, Any]]:
    """Validation alone: tile position, copper-edge count, and probes on principal components."""
    manifest = Manifest.read(folder / "tiles.csv")
    train, val = manifest.split("train"), manifest.split("val")
    labels = val.frame["label"].eq(LABELS[1]).to_numpy().astype(int)
    facts = {
        "size": config.data.image_size, "seed": config.runtime.seed, "split": "val",
        "commit": commit,
    }  # fmt: skip
    for name, share, scores in (
        ("tile position alone", 1.0, position_scores(train, val)),
        ("copper-edge count alone", 0.0, edge_count_scores(val)),
    ):
        threshold = choose_threshold(scores, labels, "balanced_accuracy")
        report = evaluate_scores(scores, labels, threshold, list(val.frame["group"]), list(val.frame["path"]))
        row = {"start": name, "use": "floor", "labels": share}
        for metric in METRICS:
            entry = report["metrics"][metric]
            row |= {metric: entry["value"], f"{metric}_low": entry["low"], f"{metric}_high": entry["high"]}
        yield row | facts
    samples, _ = load_samples(config.data)
    parts = {split: samples.pixels(samples.rows(split, labelled=True)) for split in ("train", "val")}
    components = fit_components(
        samples.pixels(samples.rows("train")), samples.store.spec.size, COMPONENTS, config.runtime.seed
    )
    features = {split: components.reduce(part).codes.astype("float32") for split, part in parts.items()}
    for fraction in config.fractions:
        for each in probe_all(features, samples, fraction, config, alone(config.runtime)):
            if each.probe == "logistic":
                for row in rows_of_table("", fraction, each, samples, config, []):
                    name = f"{COMPONENTS} principal components"
                    yield {"start": name, "use": PROBES["logistic"], **measured(row, {})} | facts


def markdown(frame: pd.DataFrame, split: str, size: int) -> list[str]:
    """AUROC by label share: the mean over seeds, with their range where there are several, else the interval."""
    frame = frame[frame["split"].eq(split) & frame["size"].eq(size)]
    shares = sorted(frame["labels"].unique())
    lines = [f"**AUROC, {split} boards, {size} px**", ""]
    lines += ["| start | use | " + " | ".join(f"{share:.0%} of the labels" for share in shares) + " |"]
    lines += ["|---" * (len(shares) + 2) + "|"]
    for (use, start), rows in frame.groupby(["use", "start"], sort=True):
        cells = []
        for share in shares:
            found = rows[rows["labels"].eq(share)]
            cells.append(cell(found, "auroc", ".3f") if len(found) else "-")
        lines.append(f"| {start} | {use} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def by_start(frame: pd.DataFrame, split: str, size: int) -> list[str]:
    """AUROC by one view, a row a start, the worst first: how it ranks without a label, and by probe and finetuning."""
    frame = frame[frame["split"].eq(split) & frame["size"].eq(size)]
    columns = {
        "no label": (0, ("defect map", PROBES["reference_difference"], "floor", "distance")),
        **{f"probe, {share:.0%}": (share, ("linear probe", "floor")) for share in (0.01, 0.1, 1)},
        **{f"finetuned, {share:.0%}": (share, ("finetune",)) for share in (0.01, 0.1, 1)},
    }
    lines = [f"**AUROC by start, {split} boards, {size} px, one view**", "", "| start | " + " | ".join(columns) + " |"]
    lines += ["|---" * (len(columns) + 1) + "|"]
    rows = []
    for start, part in frame.groupby("start"):
        values = []
        for share, uses in columns.values():
            by_use = part[part["labels"].eq(share)].groupby("use")["auroc"]
            values.append(next((by_use.get_group(use) for use in uses if use in by_use.groups), pd.Series(dtype=float)))
        if any(map(len, values)):
            best = max(value.mean() for value in values if len(value))
            rows.append((best, f"| {start} | " + " | ".join(over_seeds(value) or "-" for value in values) + " |"))
    return [*lines, *(row for _, row in sorted(rows)), ""]


def by_type(frame: pd.DataFrame, split: str, size: int) -> list[str]:
    """AUROC of each defect type against all good tiles, the mean over seeds, of the rows that have it."""
    names = [f"auroc_{name}" for name in TYPES]
    frame = frame[frame["split"].eq(split) & frame["size"].eq(size)].dropna(subset=names)
    if frame.empty:
        return []
    heads = ["start", "use", "labels", *TYPES]
    lines = [f"**AUROC by defect type, {split} boards, {size} px**", "", "| " + " | ".join(heads) + " |"]
    lines += ["|---" * len(heads) + "|"]
    for (use, start, share), rows in frame.groupby(["use", "start", "labels"], sort=True):
        cells = [f"{rows[name].mean():.3f}" for name in names]
        lines.append(f"| {start} | {use} | {share:.0%} | {' | '.join(cells)} |")
    return [*lines, ""]


def finalists(frame: pd.DataFrame, size: int) -> list[str]:
    """What the test boards said, by start, use and label share."""
    frame = frame[frame["split"].eq("test") & frame["size"].eq(size)]
    heads = ["start", "use", "labels", "AUROC", "false calls at 5 % escape", "at 1 % escape"]
    lines = [f"**Finalists, test boards, {size} px**", "", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for (use, start, share), rows in frame.groupby(["use", "start", "labels"], sort=True):
        rates = [cell(rows, name, ".2%") for name in AT_ESCAPE]
        lines.append(f"| {start} | {use} | {share:.0%} | {cell(rows, 'auroc', '.4f')} | {' | '.join(rates)} |")
    return [*lines, ""]


def repeats(folder: Path) -> None:
    """How much of each board its golden images were put together from, where they were."""
    file = folder / "found" / "golden.csv"
    if not file.exists():
        return
    boards = pd.read_csv(file, dtype={"group": str}).groupby("group")
    table = boards.agg(images=("path", "size"), blocks=("blocks", "sum"), repeated=("repeated", "sum"))
    table.assign(share=table["repeated"] / table["blocks"]).to_csv(
        RESULTS / "few_labels_repeats.csv", float_format="%.4f", lineterminator="\n"
    )


def main() -> None:
    folder = Path(sys.argv[1])
    repeats(folder)
    fresh = pd.DataFrame(runs(folder))
    file = RESULTS / "few_labels.csv"
    known = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=KEYS)
    if not known["use"].eq("floor").any():
        own = next(path for path in sorted(folder.glob("*-probes*")) if (path / "summary.json").exists())
        fresh = pd.concat(
            [fresh, pd.DataFrame(floors(folder, read_config(own, "linear-eval"), str(read_run(own).get("commit"))))]
        )
    frame = pd.concat([known, fresh]).drop_duplicates(KEYS, keep="last").sort_values(KEYS)
    RESULTS.mkdir(exist_ok=True)
    frame.to_csv(file, index=False, float_format="%.4f", lineterminator="\n")
    frame = pd.read_csv(file)  # as the file has the digits, so that the table says the same whenever it is written
    pairs = frame[["split", "size"]].drop_duplicates().sort_values(["size", "split"]).itertuples(index=False)
    tables: list[str] = []
    for split, size in pairs:
        if split == "test":
            tables += finalists(frame, int(size))
        else:
            tables += by_start(frame, split, int(size)) + markdown(frame, split, int(size))
        tables += by_type(frame, split, int(size))
    text = "\n".join(tables)
    (RESULTS / "few_labels.md").write_text(text, encoding="utf-8")
    print(text)


main()
