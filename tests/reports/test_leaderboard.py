"""The leaderboard, from run folders written here."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from ssl_pcb.evaluation.balance import counted
from ssl_pcb.evaluation.metrics import AT_ESCAPE
from ssl_pcb.reports.leaderboard import ENDS, Made, difference_is, leaderboard

LABELS = np.tile([0, 0, 1], 20)


def write_run(folder, quality, seed, *, rows=None, stage="finetune"):
    """A finished run's files; the better ``quality``, the better its scores."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    rows = np.arange(len(LABELS)) if rows is None else rows
    labels = LABELS[rows]
    scores = quality * labels + rng.normal(0, 1, len(rows))
    ranking = {"auroc": roc_auc_score(labels, scores), "average_precision": average_precision_score(labels, scores)}
    metrics = {name: {"value": value} for name, value in (ranking | dict.fromkeys(AT_ESCAPE, 0.5)).items()}
    report = {
        "metrics": metrics,
        "n": len(rows),
        "n_defective": int(labels.sum()),
        "unit": "tile",
        "balance": "natural",
    }
    (folder / "summary.json").write_text(json.dumps({"reports": {"val": report}}))
    record = {"parameters": 1000, "seconds": 60 + seed, "peak_memory": {"process": 500.0 + seed, "gpu": None}}
    (folder / "run.json").write_text(json.dumps(record | {"status": "finished"}))
    epochs = [{"epoch": epoch, "seconds": 2.0 + epoch} for epoch in range(3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    pd.DataFrame({
        "path": [f"{row // 3}.png" for row in rows], "crop": "", "group": "b", "split": "val",
        "label": np.where(labels, "Defective", "NonDefective"), "row": rows, "score": scores,
    }).to_csv(folder / "predictions.csv", index=False)  # fmt: skip
    return ranking


def made(entry, folder, status="finished", against="", seed=0):
    return Made(entry, f"what of {entry}?", against, "finetune", seed, folder, status)


@pytest.fixture
def board(tmp_path):
    """Two entries of three seeds, one of which has a diverged and a failed run too, and a row of only such."""
    found = {name: [write_run(tmp_path / f"{name}{seed}", quality, seed) for seed in range(3)]
             for name, quality in (("weak", 0.5), ("strong", 2.0))}  # fmt: skip
    runs = [made(name, tmp_path / f"{name}{seed}", seed=seed) for seed in range(3) for name in ("weak", "strong")]
    runs += [made("strong", tmp_path / "gone", "diverged"), made("strong", tmp_path / "gone", "failed")]
    runs += [made("hopeless", tmp_path / "gone", "diverged"), made("hopeless", tmp_path / "gone", "")]
    return found, leaderboard(runs).set_index("entry")


def test_the_mean_over_seeds_with_its_interval(board):
    found, table = board
    for name in ("weak", "strong"):
        for metric in ("auroc", "average_precision"):
            values = [seed[metric] for seed in found[name]]
            low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
            row = table.loc[name]
            assert (row[metric], row[f"{metric}_low"], row[f"{metric}_high"]) == pytest.approx(
                (np.mean(values), low, high)
            )


def test_diverged_and_failed_runs_are_counted_and_never_ranked(board):
    _, table = board
    assert table.index.tolist() == ["strong", "weak", "hopeless"]
    assert table.loc["strong", ["finished", "diverged", "failed"]].tolist() == [3, 1, 1]
    assert table.loc["hopeless", ["finished", "diverged", "failed"]].tolist() == [0, 1, 1]
    assert np.isnan(table.loc["hopeless", "auroc"])


def test_the_difference_is_to_the_baseline_on_the_same_samples(board, tmp_path):
    found, table = board
    expected = np.mean([seed["auroc"] for seed in found["strong"]]) - np.mean([seed["auroc"] for seed in found["weak"]])
    row = table.loc["strong"]
    assert row["auroc_difference"] == pytest.approx(expected)
    assert 0 < row["auroc_difference_low"] < expected < row["auroc_difference_high"]
    assert np.isnan(table.loc["weak", "auroc_difference"])  # the first entry is the baseline
    write_run(tmp_path / "half", 1.0, 0, rows=np.arange(30))
    write_run(tmp_path / "whole", 1.0, 1)
    halves = leaderboard([made("whole", tmp_path / "whole"), made("half", tmp_path / "half")]).set_index("entry")
    assert np.isnan(halves.loc["half", "auroc_difference"])  # judged on other samples


def test_an_entry_is_compared_with_the_one_that_it_names(tmp_path):
    found = {name: [write_run(tmp_path / f"{name}{seed}", quality, seed)["auroc"] for seed in range(3)]
             for name, quality in (("a", 0.0), ("b", 1.0), ("c", 3.0))}  # fmt: skip
    runs = [made(name, tmp_path / f"{name}{seed}", against="b" if name == "c" else "", seed=seed)
            for name in "abc" for seed in range(3)]  # fmt: skip
    table = leaderboard(runs).set_index("entry")
    assert table["against"].to_dict() == {"a": "a", "b": "a", "c": "b"}
    assert table.loc["c", "auroc_difference"] == pytest.approx(np.mean(found["c"]) - np.mean(found["b"]))
    low, high = stats.ttest_rel(found["c"], found["b"]).confidence_interval()
    ends = table.loc["c", ["auroc_difference_seeds_low", "auroc_difference_seeds_high"]].tolist()
    assert ends == pytest.approx([low, high])
    assert low < np.mean(found["c"]) - np.mean(found["b"]) < high


def test_entries_are_compared_on_the_seeds_that_both_have(tmp_path):
    """A start that fails with a seed would else count against the entry that has it alone."""
    found = {(name, seed): write_run(tmp_path / f"{name}{seed}", quality - 3 * seed, seed)["auroc"]
             for name, quality in (("a", 3.0), ("b", 2.0)) for seed in range(2)}  # fmt: skip
    runs = [made(name, tmp_path / f"{name}{seed}", seed=seed) for name, seed in found if (name, seed) != ("b", 1)]
    table = leaderboard([*runs, made("b", tmp_path / "gone", "diverged", seed=1)]).set_index("entry")
    assert table.loc["b", "auroc_difference"] == pytest.approx(found["b", 0] - found["a", 0])
    assert table.loc["b", "auroc_difference"] < 0 < table.loc["b", "auroc"] - table.loc["a", "auroc"]
    assert np.isnan(table.loc["b", "auroc_difference_seeds_low"])


def test_rows_in_another_order_are_matched(tmp_path):
    write_run(tmp_path / "a", 1.0, 0)
    write_run(tmp_path / "b", 1.0, 0)
    shuffled = pd.read_csv(tmp_path / "b" / "predictions.csv").sample(frac=1, random_state=0)
    shuffled.to_csv(tmp_path / "b" / "predictions.csv", index=False)
    table = leaderboard([made("a", tmp_path / "a"), made("b", tmp_path / "b")]).set_index("entry")
    assert table.loc["b", "auroc_difference"] == table.loc["b", "auroc_difference_high"] == 0


def test_entries_are_ranked_among_those_judged_on_the_same_samples(tmp_path):
    write_run(tmp_path / "few", 9.0, 0, rows=np.arange(30))
    write_run(tmp_path / "a", 0.5, 0)
    write_run(tmp_path / "b", 2.0, 0)
    shutil.copytree(tmp_path / "b", tmp_path / "elsewhere")
    moved = pd.read_csv(tmp_path / "elsewhere" / "predictions.csv")
    moved.assign(path="far/" + moved["path"]).to_csv(tmp_path / "elsewhere" / "predictions.csv", index=False)
    shutil.copytree(tmp_path / "b", tmp_path / "others")
    moved.assign(path="other" + moved["path"]).to_csv(tmp_path / "others" / "predictions.csv", index=False)
    names = ["a", "few", "b", "elsewhere", "others"]
    table = leaderboard([*(made(name, tmp_path / name) for name in names), made("lost", tmp_path / "gone", "failed")])
    assert table["entry"].tolist() == ["b", "elsewhere", "a", "few", "others", "lost"]
    assert table["judged_on"].tolist()[:5] == [1, 1, 1, 2, 3]
    differences = table.set_index("entry")["auroc_difference"]
    assert differences["elsewhere"] == differences["b"] > 0  # the same image, by another path
    assert np.isnan(differences[["few", "others"]]).all()


def test_balanced_reports_are_compared_on_what_they_count(tmp_path):
    found = {}
    for name, quality in (("a", 0.5), ("b", 2.0)):
        write_run(tmp_path / name, quality, 0)
        predictions = pd.read_csv(tmp_path / name / "predictions.csv")
        kept = counted(LABELS, "balanced")
        value = average_precision_score(LABELS[kept], predictions["score"][kept])
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        summary["reports"]["val"]["balance"] = "balanced"
        summary["reports"]["val"]["metrics"]["average_precision"]["value"] = found[name] = value
        (tmp_path / name / "summary.json").write_text(json.dumps(summary))
    table = leaderboard([made("a", tmp_path / "a"), made("b", tmp_path / "b")]).set_index("entry")
    assert table.loc["b", "average_precision_difference"] == pytest.approx(found["b"] - found["a"])


def test_the_pretraining_is_among_the_costs(tmp_path):
    for seed in range(2):
        write_run(tmp_path / f"a{seed}", 1.0, seed)
        write_run(tmp_path / f"pretrain{seed}", 1.0, seed)  # 60 and 61 s
    runs = [
        made("a", tmp_path / f"a{seed}", seed=seed)._replace(before=tmp_path / f"pretrain{seed}") for seed in (0, 1)
    ]
    (row,) = leaderboard(runs).to_dict("records")
    assert row["pretraining_seconds"] == 60.5


def test_costs(board):
    _, table = board
    row = table.loc["weak"]
    assert (row["parameters"], row["seconds_per_epoch"], row["peak_memory_mib"], row["seconds"]) == (1000, 3, 502, 61)
    assert row["asks"] == "what of weak?"


@pytest.mark.parametrize(
    ("ends", "word"),
    [
        ([0.1, 0.05, 0.2, 0.02, 0.3], "more"),
        ([-0.1, -0.2, -0.05, -0.3, -0.02], "less"),
        ([0.1, -0.01, 0.2, 0.02, 0.3], "within the noise"),  # other images would turn it over
        ([0.1, 0.05, 0.2, -0.02, 0.3], "within the noise"),  # other seeds would
        ([0.1, 0.05, 0.2, np.nan, np.nan], "one seed"),
        ([np.nan] * 5, None),
    ],
)
def test_a_difference_is_more_or_less_only_where_images_and_seeds_both_say_so(ends, word):
    assert difference_is(ends) == word


def test_the_table_says_what_a_difference_is(board):
    _, table = board
    strong = table.loc["strong"]
    ends = [strong[f"average_precision_difference{end}"] for end in ENDS]
    assert strong["difference_is"] == difference_is(ends) == "more"
    assert pd.isna(table.loc["hopeless", "difference_is"])


def test_one_seed_has_no_interval(tmp_path):
    write_run(tmp_path / "a", 1.0, 0)
    (row,) = leaderboard([made("a", tmp_path / "a")]).to_dict("records")
    assert row["auroc"] > 0
    assert np.isnan(row["auroc_low"])
