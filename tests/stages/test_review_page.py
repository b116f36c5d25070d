"""The review page in a browser: keys decide, decisions survive, and what it saves is what ``data relabel`` takes."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pages import NASTY, NASTY_FOLDER, SMALL, complaints, data_of, visit

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.data.manifest import Manifest

selenium = pytest.importorskip("selenium")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = pytest.mark.slow
OTHER = {"Defective": "NonDefective", "NonDefective": "Defective"}
SUSPECTS = 6


@pytest.fixture(scope="module")
def page(hostile):
    """A review of an audit of labels of which some were turned, by a cross-validation that sees through it."""
    from ssl_pcb.stages.audit_labels import audit_labels
    from ssl_pcb.stages.review import make_review

    manifest = Manifest.read("m.csv")
    truth = manifest.frame["label"].copy()
    judged = manifest.frame.index[manifest.frame["split"].ne("test")]
    turned = np.random.default_rng(0).permutation(judged)[:SUSPECTS]
    frame = manifest.frame.assign(label=truth.where(~truth.index.isin(turned), truth.map(OTHER)))
    Manifest.build(frame, manifest.root).write("turned.csv")
    run_stage("crossval", None, SMALL | {"data.manifest": "turned.csv", "resamples": 100, "folds": 2,
                                         "runtime.out": "cv"}, resume=False)  # fmt: skip
    table = pd.read_csv("cv/predictions.csv", keep_default_na=False)
    logits = np.where(truth[table["row"]].eq("Defective"), 2.5, -2.5)
    logits = logits + np.random.default_rng(1).normal(0, 1, len(table))
    table.assign(probability=1 / (1 + np.exp(-logits))).to_csv("cv/predictions.csv", index=False)
    audit_labels(Path("turned.csv"), Path("cv"), None, Path("audit"), limit=0, device="cpu")
    make_review(Path("audit"), Path("review.html"), device="cpu")
    return Path("review.html")


@pytest.fixture
def browser(chromium, page):
    """On the review, nothing decided yet."""
    visit(chromium, page)
    chromium.execute_script("localStorage.clear()")
    visit(chromium, page)
    yield chromium
    assert complaints(chromium) == []
    assert "hacked" not in chromium.title


def press(browser, keys):
    for key in keys:
        browser.find_element(By.TAG_NAME, "body").send_keys(key)


def heading(browser):
    return browser.find_element(By.CSS_SELECTOR, "[data-role=suspect] h2").text


def counts(browser):
    return browser.find_element(By.CSS_SELECTOR, "[data-role=counts]").text


def saved(browser):
    """The file that the browser has downloaded."""
    for old in browser.downloads.glob("*"):
        old.unlink()
    press(browser, "s")
    return downloaded(browser)


def downloaded(browser):
    file = browser.downloads / "corrections.csv"
    for _ in range(100):
        if file.exists():
            return file
        time.sleep(0.1)
    raise AssertionError("nothing was downloaded")


def test_keys_decide_and_go_back_and_forward(browser):
    total = len(data_of(Path("review.html"))["suspects"])
    assert total >= 4
    assert heading(browser).startswith(f"1 of {total}")
    press(browser, "rku")
    assert heading(browser).startswith(f"4 of {total}")
    assert counts(browser) == f"3 of {total} decided: 1 keep, 1 relabel, 1 unsure"
    press(browser, [Keys.ARROW_LEFT, Keys.ARROW_LEFT])
    assert heading(browser).startswith(f"2 of {total}")
    pressed = browser.find_element(By.CSS_SELECTOR, "[data-decision][aria-pressed=true]")
    assert pressed.get_attribute("data-decision") == "keep"
    press(browser, "u")
    assert counts(browser) == f"3 of {total} decided: 0 keep, 1 relabel, 2 unsure"
    press(browser, [Keys.ARROW_RIGHT])
    assert heading(browser).startswith(f"4 of {total}")
    browser.find_element(By.CSS_SELECTOR, "[data-decision=keep]").click()
    assert "1 keep" in counts(browser)


def test_at_its_end_it_says_what_to_do_next(browser):
    total = len(data_of(Path("review.html"))["suspects"])
    done = browser.find_element(By.CSS_SELECTOR, "[data-role=done]")
    press(browser, "k" * (total - 1))
    assert not done.is_displayed()
    press(browser, "r")
    assert f"All {total} are decided" in done.text
    assert "ssl-pcb data relabel turned.csv corrections.csv --out" in done.text
    for old in browser.downloads.glob("*"):
        old.unlink()
    done.find_element(By.TAG_NAME, "button").click()
    assert len(pd.read_csv(downloaded(browser))) == total


def test_decisions_survive_a_reload_and_are_of_this_audit_alone(browser, tmp_path):
    from ssl_pcb.stages.review import make_review

    press(browser, "rk")
    before = counts(browser), heading(browser)
    visit(browser, Path("review.html"))
    assert (counts(browser), heading(browser)) == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "audit.json").write_bytes(Path("audit/audit.json").read_bytes())
    pd.read_csv("audit/suspects.csv", keep_default_na=False).head(3).to_csv(other / "suspects.csv", index=False)
    make_review(other, tmp_path / "other.html", device="cpu")
    visit(browser, tmp_path / "other.html")
    assert counts(browser).startswith("0 of 3 decided")


def test_what_it_saves_is_applied_by_data_relabel(browser, ssl_pcb_cli, tmp_path):
    suspects = data_of(Path("review.html"))["suspects"]
    press(browser, "rkur")
    file = saved(browser)
    table = pd.read_csv(file, keep_default_na=False, encoding="utf-8-sig")
    assert table["row"].tolist() == [int(suspects[place]["row"]) for place in (0, 1, 3)]
    out = tmp_path / "new.csv"
    ended = ssl_pcb_cli("data", "relabel", "turned.csv", file, "--out", out, "--by", "Zoë")
    assert ended.code == 0, ended.err
    assert "2 labels changed, 1 samples keep theirs" in ended.out
    before, after = Manifest.read("turned.csv").frame["label"], Manifest.read(out).frame["label"]
    changed = {int(suspects[place]["row"]) for place in (0, 3)}
    assert set(before.index[before.ne(after)]) == changed
    assert all(after[row] == OTHER[before[row]] for row in changed)


def test_neighbours_and_a_heat_map_stand_beside_and_names_are_text(browser):
    shown = browser.find_element(By.CSS_SELECTOR, "[data-role=suspect]")
    assert len(shown.find_elements(By.CSS_SELECTOR, ".gallery .card")) == 6
    assert len(shown.find_elements(By.CSS_SELECTOR, ".review-grid .pic")) == 2
    assert NASTY in shown.text
    assert NASTY_FOLDER in shown.text
    suspect = data_of(Path("review.html"))["suspects"][0]
    samples = data_of(Path("review.html"))["samples"]
    near = [samples[number] for number in samples[0]["near"]]
    named = pd.read_csv("audit/suspects.csv", dtype=str).iloc[0]
    assert [str(each["row"]) for each in near] == named["neighbour_rows"].split()
    other = sum(each["label"] != suspect["label_before"] for each in near)
    assert len(shown.find_elements(By.CSS_SELECTOR, ".card.other")) == other
    assert json.loads(Path("audit/audit.json").read_text())["audit"] == "labels"


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_it_fits_phones_tablets_and_desktops(browser, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
