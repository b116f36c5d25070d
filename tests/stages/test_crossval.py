"""Cross-validation from end to end on small synthetic boards, through the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.decision.thresholds import choose_threshold
from ssl_pcb.errors import UserError
from ssl_pcb.evaluation.balance import counted
from ssl_pcb.reports.run import read_run
from ssl_pcb.stages import crossval as stage

SMALL = {
    "data.manifest": "m.csv", "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8,
    "training.epochs": 1, "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous",
    "runtime.device": "cpu",
}  # fmt: skip
PRETRAIN = SMALL | {"method.hidden_dim": 16, "method.output_dim": 8}
CROSSVAL = SMALL | {"resamples": 100}


def start(name, out, *, resume=False, **keys):
    keys = {key.replace("__", "."): value for key, value in keys.items()}
    given = {} if resume else PRETRAIN if name == "pretrain" else CROSSVAL
    return run_stage(name, None, given | keys | {"runtime.out": out}, resume=resume)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, synthetic_boards):
    """A working folder with ``m.csv``, of which two boards are of split test, and a finished cross-validation."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SSL_PCB_CACHE", str(folder / "cache"))
        Manifest.read(synthetic_boards).write("m.csv")
        start("crossval", "cv", folds=2)
        yield folder


def read(folder, name="summary.json"):
    return json.loads((Path(folder) / name).read_text())


def predictions(folder):
    return pd.read_csv(Path(folder) / "predictions.csv", keep_default_na=False)


def test_out_of_fold_predictions_cover_all_but_the_test_boards_once(workplace):
    frame = Manifest.read("m.csv").frame
    pooled = predictions("cv")
    assert sorted(pooled["row"]) == frame.index[frame["split"].ne("test")].tolist()
    assert "test" in set(frame["split"])
    assert pooled.groupby("group")["fold"].nunique().max() == 1


def test_a_folds_scores_are_those_of_its_own_network(workplace):
    pooled = predictions("cv")
    for fold in (1, 2):
        own = predictions(f"cv/fold-{fold}").set_index("row")
        judged = pooled[pooled["fold"].eq(fold)].set_index("row")
        assert own.loc[judged.index, "score"].tolist() == judged["score"].tolist()
        trained = pd.read_csv(f"cv/fold-{fold}.csv")
        assert not set(judged["group"]) & set(trained[trained["split"].eq("train")]["group"])


def test_thresholds_are_chosen_by_the_other_folds(workplace):
    pooled = predictions("cv")
    for fold, own in pooled.groupby("fold"):
        others = pooled[pooled["fold"].ne(fold)]
        expected = choose_threshold(others["score"], others["label"].eq("Defective"), "balanced_accuracy")
        assert own["threshold"].to_numpy() == pytest.approx(expected)
        assert (own["verdict"].eq("Defective") == own["score"].ge(expected)).all()


def test_metrics_per_fold_their_mean_and_deviation_and_pooled(workplace):
    summary, pooled = read("cv"), predictions("cv")
    assert len(summary["folds"]) == 2
    for row in summary["folds"]:
        own = pooled[pooled["fold"].eq(row["fold"])]
        defective, called = own["label"].eq("Defective"), own["verdict"].eq("Defective")
        assert row["auroc"] == pytest.approx(roc_auc_score(defective, own["score"]))
        assert row["escape_rate"] == pytest.approx((defective & ~called).sum() / defective.sum())
        assert row["false_call_rate"] == pytest.approx((~defective & called).sum() / (~defective).sum())
    found = [row["auroc"] for row in summary["folds"]]
    assert summary["over_folds"]["auroc"]["mean"] == pytest.approx(np.mean(found))
    assert summary["over_folds"]["auroc"]["deviation"] == pytest.approx(np.std(found, ddof=1))
    report = summary["reports"]["val"]
    assert pooled["threshold"].nunique() == 2
    ranked = roc_auc_score(pooled["label"].eq("Defective"), pooled["score"])
    assert report["metrics"]["auroc"]["value"] == pytest.approx(ranked)
    (_, fp), (fn, _) = report["confusion"]
    wrong = pooled["label"].ne(pooled["verdict"])
    assert (fp, fn) == (
        (wrong & pooled["label"].eq("NonDefective")).sum(),
        (wrong & pooled["label"].eq("Defective")).sum(),
    )
    assert read_run(Path("cv"))["status"] == "finished"


def test_the_last_epoch_is_kept_whatever_the_judged_boards_say(workplace):
    start("crossval", "cv-longer", folds=2, training__epochs=3)
    summaries = [read(f"cv-longer/fold-{fold}") for fold in (1, 2)]
    assert [(each["best_epoch"], each["selected_on"]) for each in summaries] == [(3, "being the last")] * 2


def test_a_pretraining_is_repeated_on_each_folds_training_boards(workplace):
    if not Path("pre").exists():
        start("pretrain", "pre")
    start("crossval", "cv-pre", folds=2, checkpoint="pre")
    for fold in (1, 2):
        repeated = read_run(Path(f"cv-pre/fold-{fold}-pretrain"))
        assert repeated["stage"] == "pretrain"
        assert read(f"cv-pre/fold-{fold}")["checkpoint"] == f"cv-pre/fold-{fold}-pretrain"
        assert read(f"cv-pre/fold-{fold}")["marks"] == []
    assert read("cv-pre")["marks"] == []


def test_a_pretraining_taken_as_it_is_is_marked(workplace):
    if not Path("pre").exists():
        start("pretrain", "pre")
    start("crossval", "cv-seen", folds=2, checkpoint="pre", transductive=True)
    assert not Path("cv-seen/fold-1-pretrain").exists()
    assert any(mark.startswith("transductive: the checkpoint was") for mark in read("cv-seen")["marks"])
    assert all("transductive" in mark for mark in predictions("cv-seen")["marks"])


def test_image_disjoint_folds_are_marked(workplace):
    start("crossval", "cv-images", folds=2, disjoint="image")
    assert "not board-disjoint" in read("cv-images")["marks"]


def test_resuming_keeps_finished_folds(workplace, monkeypatch):
    begun = stage.start_stage

    def fails_at_the_second(name, config, asked, **keys):
        if config.runtime.out.name == "fold-2":
            raise KeyboardInterrupt
        return begun(name, config, asked, **keys)

    monkeypatch.setattr(stage, "start_stage", fails_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        start("crossval", "cv-broken", folds=2)
    monkeypatch.undo()
    before = read_run(Path("cv-broken/fold-1"))["ended"]
    start("crossval", "cv-broken", resume=True)
    assert read_run(Path("cv-broken/fold-1"))["ended"] == before
    assert predictions("cv-broken")["score"].tolist() == predictions("cv")["score"].tolist()


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"checkpoint": "cv/fold-1"}, "saw labels of the boards that are to judge"),
        ({"folds": 9}, "fewer --folds"),
        ({"folds": 1}, "folds"),
        ({"runtime__devices": 2}, "leave --devices out"),
        ({"test": True}, "test: unknown key"),
        ({"select": "auroc"}, "select: unknown key"),
        ({"checkpoint": "nowhere"}, "nowhere"),
        ({"checkpoint": "auto"}, "checkpoint: no run fits a fold"),
        ({"freeze": ["stage9"]}, "freeze: .* has no stage9"),
        ({"training__batch_size": 4096}, "lower --batch-size"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(workplace, keys, line):
    with pytest.raises(UserError, match=line):
        start("crossval", "cv-refused", **keys)
    assert not Path("cv-refused").exists()


def test_a_fold_can_be_started_from_but_not_the_whole(workplace):
    with pytest.raises(UserError, match=r"name one of them, as cv/fold-1"):
        run_stage("finetune", None, CROSSVAL | {"checkpoint": "cv", "runtime.out": "tuned"}, resume=False)


@pytest.mark.parametrize("name", ["finetune", "linear-eval", "crossval"])
def test_a_balanced_count_has_as_many_of_either_class_and_the_same_threshold(workplace, name):
    manifest = Manifest.read("m.csv")
    frame = manifest.frame
    keep = frame["label"].eq("NonDefective") | (frame.index % 3 == 0)  # so that a third of each split is Defective
    manifest.select(keep).write("few.csv")
    keys = CROSSVAL | {"data.manifest": "few.csv", "checkpoint": "none", "training.batch_size": 4}
    keys |= {"linear-eval": {"cs": [0.1], "ks": [1]}, "crossval": {"folds": 2}, "finetune": {}}[name]
    balanced, natural = (
        read(run_stage(name, None, keys | {"test_balance": each, "runtime.out": f"{name}-{each}"}, resume=False))[
            "reports"
        ]["val"]
        for each in ("balanced", "natural")
    )
    assert (balanced["balance"], natural["balance"]) == ("balanced", "natural")
    assert natural["n_defective"] < natural["n"] / 2
    assert balanced["n"] == 2 * balanced["n_defective"] == 2 * natural["n_defective"]
    assert balanced["threshold"] == natural["threshold"]


def test_a_balanced_count_is_of_the_same_samples_whatever_the_seed_and_the_folds(workplace):
    runs = {}
    for seed in (0, 1):
        run = start(
            "crossval", f"fewer-{seed}", folds=2, data__manifest="few.csv", test_balance="balanced", runtime__seed=seed
        )
        runs[seed] = predictions(run).sort_values("row", ignore_index=True)
    assert (runs[0]["fold"] != runs[1]["fold"]).any()
    defective = runs[0]["label"].eq("Defective")
    drawn = counted(defective.to_numpy().astype(int), "balanced")  # of the manifest's order, which both share
    for seed, table in runs.items():
        expected = roc_auc_score(defective[drawn], table["score"][drawn])
        assert read(f"fewer-{seed}")["reports"]["val"]["metrics"]["auroc"]["value"] == pytest.approx(expected)


def test_evaluate_and_compare_take_folds_by_their_bare_scores_and_their_own_verdicts(workplace, ssl_pcb_cli):
    start("crossval", "cv-other", folds=2, optimizer__lr=0.01)
    assert ssl_pcb_cli("evaluate", "cv", "--out", "point").code == 0
    saved = predictions("cv")
    said = pd.read_csv("point/verdicts.csv")
    assert said["score"].tolist() == pytest.approx(saved["score"].tolist())
    defective = saved["label"].eq("Defective")
    expected = choose_threshold(saved["score"].to_numpy(), defective.to_numpy().astype(int), "balanced_accuracy")
    assert read("point", "evaluation.json")["low"] == expected
    assert ssl_pcb_cli("compare", "cv", "cv-other", "--out", "compared.json").code == 0
    found, other = read(".", "compared.json"), predictions("cv-other")
    gained = roc_auc_score(defective, other["score"]) - roc_auc_score(defective, saved["score"])
    assert found["differences"]["auroc"]["value"] == pytest.approx(gained)
    wrong = [each["label"].ne(each["verdict"]).to_numpy() for each in (saved, other)]
    assert found["mcnemar"]["all"]["first_alone"] == (wrong[0] & ~wrong[1]).sum()


def test_labels_that_have_changed_since_are_not_evaluated_as_they_were(workplace, ssl_pcb_cli):
    kept, manifest = Path("m.csv").read_bytes(), Manifest.read("m.csv")
    row = manifest.frame["split"].tolist().index("train")
    manifest.frame.loc[row, "label"] = ""
    manifest.write("m.csv")
    ended = ssl_pcb_cli("evaluate", "cv", "--out", "refused")
    Path("m.csv").write_bytes(kept)
    assert ended.code == 2
    assert "that cv judged are labelled otherwise today, or gone; make the run anew\n" in ended.err
