"""The report in a browser: it says what ``evaluate`` says, shows what it promises, and runs nobody else's code."""

import json
from pathlib import Path

import pytest
from pages import NASTY, NASTY_TYPE, SMALL, complaints, data_of, visit

from ssl_pcb.cli.stages import run_stage

selenium = pytest.importorskip("selenium")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = pytest.mark.slow

KEYS = SMALL | {"resamples": 100, "checkpoint": "none"}


@pytest.fixture(scope="module")
def page(hostile):
    """A report of two finetunings and a pretraining, of which the second was evaluated, with a review."""
    from ssl_pcb.decision.operating_point import EscapeBudget, FalseCallBudget
    from ssl_pcb.stages.evaluate import Asked, evaluate
    from ssl_pcb.stages.report import make_report

    run_stage("finetune", None, KEYS | {"runtime.out": "one"}, resume=False)
    run_stage("finetune", None, KEYS | {"runtime.out": "two", "runtime.seed": 1}, resume=False)
    auto = {"runtime.out": "auto", "method.name": "autoencoder", "method.dim": 8}
    run_stage("pretrain", None, SMALL | auto, resume=False)
    budgets = EscapeBudget(0.2, "point"), FalseCallBudget(0.1, "point")
    evaluate(Path("two"), Asked(*budgets, defect_rate=0.03, resamples=100), Path("two/evaluation-1"))
    make_report([Path("one"), Path("two"), Path("auto")], Path("report.html"), pictures=90, device="cpu", resamples=100)
    return Path("report.html")


@pytest.fixture
def browser(chromium, page):
    """On the report, opened anew; at the end it must have complained of nothing and asked for nothing."""
    visit(chromium, page)
    yield chromium
    assert complaints(chromium) == []
    assert "hacked" not in chromium.title


def part(browser, selector, run=0):
    return browser.find_element(By.CSS_SELECTOR, f"[data-run='{run}'] {selector}")


def figures(browser, run=0):
    """Escapes and false calls as the page counts them, by unit, and the review load."""
    rows = browser.find_elements(By.CSS_SELECTOR, f"[data-run='{run}'] [data-unit]")
    found = {
        row.get_attribute("data-unit"): [
            row.find_element(By.CSS_SELECTOR, f"[data-rate={name}]").text.split("\n")
            for name in ("escape", "false-call")
        ]
        for row in rows
    }
    return found, part(browser, "[data-figure=review] .value", run).text


def as_evaluated(run, *flags, cli):
    out = Path(f"evaluated-{'-'.join(map(str, flags))}".replace(".", "_"))
    ended = cli("evaluate", run, *flags, "--out", out)
    assert ended.code == 0, ended.err
    found = json.loads((out / "evaluation.json").read_text())
    return found, found["operating"]["validation"]


def said(rate):
    if not rate["samples"]:
        return ["–", "there are no such ones"]
    return [f"{100 * rate['value']:.2f} %", f"{rate['errors']} of {rate['samples']}; bound {100 * rate['bound']:.2f} %"]


def assert_says(browser, operating, run=0):
    found, review = figures(browser, run)
    assert found == {
        unit: [said(rates["escape"]), said(rates["false_call"])] for unit, rates in operating["rates"].items()
    }
    load = operating["review_per_1000"]
    assert review == ("none" if load is None else f"{load:.0f} of 1,000")


def test_at_first_it_says_what_evaluate_says(browser, ssl_pcb_cli):
    assert_says(browser, as_evaluated("one", cli=ssl_pcb_cli)[1])
    assert part(browser, "[data-role=opens]").text == "the run's own threshold"
    assert part(browser, "[data-role=rate-note]").text == "the validation set's; enter the line's"


def test_it_opens_at_what_the_newest_evaluation_chose_and_says_so(browser):
    found = json.loads(Path("two/evaluation-1/evaluation.json").read_text())
    assert found["low"] < found["high"]
    assert_says(browser, found["operating"]["validation"], run=1)
    named = "at most 20 % escape, NG at most 10 % false calls (evaluation-1)"
    assert part(browser, "[data-role=opens]", run=1).text == named
    assert part(browser, "[data-role=rate-note]", run=1).text == ""
    offered = part(browser, "[data-role=chosen]", run=1).text.splitlines()
    assert [each.strip() for each in offered[:-1]] == [named, "the run's own threshold"]  # the last one is hidden
    told = data_of(Path("report.html"))["runs"][1]
    scores = [told["samples"][number]["score"] for number in told["told"]["false_calls"]]
    assert all(score >= found["high"] for score in scores)
    assert all(told["samples"][number]["score"] < found["low"] for number in told["told"]["misses"])


def test_numbers_that_round_to_nothing_have_no_sign(browser):
    values = "[-0.004, -0.0, -0.006, 0.004, -12.344]"
    said = browser.execute_script(f"return {values}.map((each) => fixed(each, 2))")
    assert said == ["0.00", "0.00", "-0.01", "0.00", "-12.34"]


@pytest.mark.parametrize("run", [0, 2])
def test_pictures_are_the_files_own_pixels(browser, run):
    """They have 32 px, as the network sees: squares when enlarged, and boxes where the manifest has them."""
    pictures = data_of(Path("report.html"))["runs"][run]["samples"]
    assert pictures
    sizes = browser.execute_script(
        "return Promise.all(arguments[0].map(async (src) => { const image = new Image(); image.src = src;"
        "await image.decode(); return [image.naturalWidth, image.naturalHeight]; }))",
        [each["image"] for each in pictures],
    )
    assert sizes == [[32, 32]] * len(pictures)


def test_a_scale_says_what_colours_of_heat_maps_mean(browser):
    assert part(browser, ".heat-scale img").get_property("naturalWidth") == 240
    assert browser.find_elements(By.CSS_SELECTOR, "[data-run='2'] .heat-scale") == []


@pytest.mark.parametrize("way", [-140, 55, 160])
def test_dragging_the_line_says_what_evaluate_says_there(browser, ssl_pcb_cli, way):
    before = figures(browser)
    handle = part(browser, "[data-handle=low] .grip")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", handle)
    ActionChains(browser).click_and_hold(handle).move_by_offset(way, 20).release().perform()
    threshold = part(browser, "[data-role=low]").get_attribute("value")
    assert figures(browser) != before
    assert_says(browser, as_evaluated("one", "--threshold", threshold, cli=ssl_pcb_cli)[1])


def test_keys_move_it_too(browser, ssl_pcb_cli):
    slider = part(browser, "[data-role=low-range]")
    before = float(part(browser, "[data-role=low]").get_attribute("value"))
    for _ in range(40):
        slider.send_keys(Keys.ARROW_RIGHT)
    threshold = part(browser, "[data-role=low]").get_attribute("value")
    assert float(threshold) > before
    assert_says(browser, as_evaluated("one", "--threshold", threshold, cli=ssl_pcb_cli)[1])


def test_two_thresholds_leave_the_load_that_evaluate_says(browser, ssl_pcb_cli):
    budgets = ("--max-escape", 0.2, "--max-false-calls", 0.1, "--as", "point", "--defect-rate", 0.03)
    found, operating = as_evaluated("one", *budgets, cli=ssl_pcb_cli)
    assert found["low"] < found["high"]
    part(browser, "[data-role=review]").click()
    for name, value in (("high", found["high"]), ("low", found["low"]), ("rate", 0.03)):
        field = part(browser, f"[data-role={name}]")
        field.clear()
        field.send_keys(repr(value), Keys.TAB)
    assert_says(browser, operating)


def test_cells_open_the_pictures_that_they_count(browser):
    counted = {}
    for name in ("Defective OK", "Defective NG", "NonDefective OK", "NonDefective NG"):
        cell = part(browser, f"[data-cell='{name}']")
        counted[name] = int(cell.find_element(By.TAG_NAME, "b").text)
        cell.click()
        part(browser, f"[data-cell='{name}'][aria-pressed=true]")
        for more in browser.find_elements(By.CSS_SELECTOR, "[data-run='0'] [data-role=cell-gallery] .more"):
            more.click()
        assert len(part(browser, "[data-role=cell-gallery]").find_elements(By.CSS_SELECTOR, ".card")) == counted[name]
        part(browser, f"[data-cell='{name}']").click()
    assert sum(counted.values()) == 12
    field = part(browser, "[data-role=low]")
    field.clear()
    field.send_keys("1000", Keys.TAB)
    part(browser, "[data-cell='Defective OK']").click()
    missed = counted["Defective OK"] + counted["Defective NG"]
    assert part(browser, "[data-cell='Defective OK'] b").text == str(missed)
    assert len(part(browser, "[data-role=cell-gallery]").find_elements(By.CSS_SELECTOR, ".card")) == missed


def test_a_card_opens_with_heat_map_boxes_and_neighbours_and_keys_go_on(browser):
    card = part(browser, "[data-gallery] .card")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", card)
    card.click()
    dialog = browser.find_element(By.ID, "sample")
    assert dialog.find_element(By.TAG_NAME, "h2").text.startswith("1 of")
    assert len(dialog.find_elements(By.CSS_SELECTOR, ".pair .pic")) == 2
    assert len(dialog.find_elements(By.CSS_SELECTOR, ".gallery .pic")) == 5
    first = dialog.text
    dialog.send_keys(Keys.ARROW_RIGHT)
    assert dialog.text != first
    dialog.send_keys(Keys.ESCAPE)
    assert not dialog.is_displayed()


def test_pointing_at_a_dot_of_the_map_shows_its_picture(browser):
    drawing = part(browser, "[data-role=map] svg")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", drawing)
    ActionChains(browser).move_to_element(drawing.find_element(By.TAG_NAME, "circle")).perform()
    tip = browser.find_element(By.ID, "tip")
    assert tip.is_displayed()
    assert tip.find_element(By.TAG_NAME, "img").get_attribute("src").startswith("data:image/webp")
    part(browser, "[data-role=colour]").send_keys("class")
    colours = {each.get_attribute("fill") for each in drawing.find_elements(By.TAG_NAME, "circle")}
    assert colours == {"#d55e00", "#0072b2"}
    assert "Defective (6)" in part(browser, "[data-role=legend]").text
    drawing.send_keys(Keys.ARROW_RIGHT, Keys.ENTER)
    assert browser.find_element(By.ID, "sample").is_displayed()


def test_names_that_would_rather_be_code_are_text(browser):
    card = part(browser, "[data-gallery=misses] .card, [data-gallery=caught] .card")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", card)
    card.click()
    shown = browser.find_element(By.ID, "sample").text
    assert NASTY in shown
    assert NASTY_TYPE in shown
    assert "'é' <b>\"漢\".png" in shown
    assert browser.find_elements(By.CSS_SELECTOR, "#sample b i, img[src=x], dd b") == []


@pytest.mark.parametrize("width", [390, 820, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_phones_tablets_and_desktops_in_light_and_dark(browser, width, scheme):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.refresh()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    back = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    level = sum(int(each) for each in back.removeprefix("rgb(").removesuffix(")").split(","))
    assert level > 600 if scheme == "light" else level < 150
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_every_run_has_its_part_and_they_stand_side_by_side(browser):
    assert "Side by side" in browser.find_element(By.ID, "beside").text
    assert part(browser, ".curves", run=2).find_elements(By.TAG_NAME, "svg")
    assert "Reconstructions" in part(browser, "", run=2).text
    assert not browser.find_elements(By.CSS_SELECTOR, "[data-run='2'] [data-role=figures]")
