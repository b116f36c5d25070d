"""Lines of metrics.jsonl as charts and tables."""

from ssl_pcb.stages.reporting.curves import FOLDS, curves, last_values, read_metrics, table

ROWS = [
    {"epoch": 1, "loss": 2.0, "val_auroc": 0.6, "lr": 0.1, "seconds": 3},
    {"epoch": 2, "loss": 1.0, "val_auroc": 0.7, "lr": 0.0, "seconds": 3, "knn_accuracy": 0.8},
]


def test_what_is_of_one_kind_stands_in_one_chart():
    drawn = {chart["title"]: chart for chart in curves(ROWS)}
    assert list(drawn) == ["Loss", "Accuracy, AUROC, average precision", "Learning rate"]
    assert drawn["Loss"]["series"] == [{"name": "Loss", "points": [[1, 2.0], [2, 1.0]]}]
    shares = drawn["Accuracy, AUROC, average precision"]
    assert shares["unit"] == "share"
    assert [each["name"] for each in shares["series"]] == ["Val AUROC", "kNN accuracy"]
    assert shares["series"][1]["points"] == [[2, 0.8]]  # measured in one epoch alone


def test_one_epoch_is_no_curve_but_values():
    assert curves(ROWS[:1]) == []
    assert ("Val AUROC", "0.6") in last_values(ROWS[:1])


def test_a_damaged_file_has_no_rows(tmp_path):
    assert read_metrics(tmp_path) == []
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo')
    assert read_metrics(tmp_path) == []


def test_a_table_has_the_columns_that_there_are():
    found = table([{"fold": 1, "auroc": 0.51234}, {"fold": 2}], FOLDS)
    assert found == {"columns": ["Fold", "AUROC"], "rows": [["1", "0.512"], ["2", ""]]}
