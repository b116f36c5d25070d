"""The service's page in a browser: it says what ``predict`` says, shows where, and runs nobody else's code."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from pages import SMALL, complaints

from ssl_pcb.cli.stages import run_stage
from ssl_pcb.data.manifest import Manifest

selenium = pytest.importorskip("selenium")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

pytestmark = pytest.mark.slow

NAME = "<script>document.title='hacked'<b> <img src=x onerror=document.title='hacked'> 'é' \"漢\".png"
BROKEN = 'broken "1".png'
TOKEN = "correct-horse-battery"


@pytest.fixture(scope="module")
def place(workplace):
    """A run, its export, an image under a name that would rather be code, and one that is none."""
    from click.testing import CliRunner

    from ssl_pcb.cli import app

    run_stage("finetune", None, SMALL | {"resamples": 100, "checkpoint": "none", "runtime.out": "run"}, resume=False)
    for command in (
        ["evaluate", "run", "--max-escape", "0.2", "--max-false-calls", "0.2", "--as", "point"],
        ["export", "run", "-o", "model.onnx"],
    ):
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    manifest = Manifest.read("m.csv")
    for row, name in ((0, NAME), (1, "b.png"), (0, "golden.png")):
        shutil.copy(manifest.root / manifest.frame["path"][row], name)
    Path(BROKEN).write_bytes(Path("b.png").read_bytes()[:300])
    return workplace


@contextmanager
def serving(model, **variables):
    """The address of a running service."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"} | variables
    command = [sys.executable, "-m", "ssl_pcb", "serve", model, "--port", "0", "--threads", "1", "--device", "cpu"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        lines = iter(process.stdout.readline, "")
        try:
            yield next(found[0] for line in lines if (found := re.search(r"http://127\S+", line)))
        finally:
            process.terminate()


@contextmanager
def opened(chromium, address):
    """The page; at the end it must have complained of nothing and asked nobody but its service."""
    chromium.get("about:blank")
    for kind in ("browser", "performance"):
        chromium.get_log(kind)
    chromium.get(address)
    yield chromium
    assert complaints(chromium, address) == []
    assert "hacked" not in chromium.title


@pytest.fixture(scope="module", params=["run", "model.onnx"])
def service(place, request):
    with serving(request.param) as address:
        yield request.param, address


def give(browser, *names, part="image"):
    browser.find_element(By.ID, part).send_keys("\n".join(str(Path(name).resolve()) for name in names))


def answers(browser, count):
    """Sections of so many answers, the last one first, when all are there and drawn."""

    def ready(driver):
        found = driver.find_elements(By.CSS_SELECTOR, ".answer:not([aria-busy])")
        return found if len(found) == count else None

    return WebDriverWait(browser, 60).until(ready)


def predicted(cli, model, *names, flags=()):
    ended = cli("predict", model, *names, "--device", "cpu", *flags)
    return list(csv.DictReader(io.StringIO(ended.out)))


def text(answer, selector):
    return answer.find_element(By.CSS_SELECTOR, selector).text


def facts(answer):
    return dict(zip(*([e.text for e in answer.find_elements(By.TAG_NAME, tag)] for tag in ("dt", "dd")), strict=True))


def test_verdicts_are_those_of_predict_and_names_are_text(service, chromium, ssl_pcb_cli):
    model, address = service
    rows = predicted(ssl_pcb_cli, model, NAME, "b.png")
    with opened(chromium, address) as browser:
        give(browser, NAME, "b.png")
        for answer, row in zip(answers(browser, 2), reversed(rows), strict=True):
            assert text(answer, "[data-role=verdict]") == row["verdict"]
            assert text(answer, "h2") == row["path"]
            shown = facts(answer)
            assert float(shown["Score"]) == pytest.approx(float(row["score"]), abs=6e-4)
            assert shown["Probability of Defective"] == f"{100 * float(row['probability']):.2f} %"


def test_a_run_shows_where_and_an_export_says_that_it_cannot(service, chromium):
    model, address = service
    with opened(chromium, address) as browser:
        give(browser, "b.png")
        (answer,) = answers(browser, 1)
        image = answer.find_element(By.TAG_NAME, "img")
        assert int(image.get_property("naturalWidth")) == 480
        assert ("cannot say where" in text(answer, ".caption")) == (model == "model.onnx")
        assert ("network sees a defect" in text(answer, ".caption")) == (model == "run")
        assert len(browser.find_elements(By.CSS_SELECTOR, ".heat-scale img")) == (model == "run")


def test_a_golden_image_is_compared(service, chromium, ssl_pcb_cli):
    model, address = service
    (row,) = predicted(ssl_pcb_cli, model, "b.png", flags=("--reference", "golden.png"))
    with opened(chromium, address) as browser:
        give(browser, "golden.png", part="reference")
        give(browser, "b.png")
        (answer,) = answers(browser, 1)
        assert text(browser, "[data-role=golden]") == "golden.png"
        assert facts(answer)["Difference from the golden image"] == f"{float(row['difference']):.3f}"


def test_what_cannot_be_read_is_said_and_the_next_one_is_judged(service, chromium, ssl_pcb_cli):
    model, address = service
    (row,) = predicted(ssl_pcb_cli, model, BROKEN)
    with opened(chromium, address) as browser:
        give(browser, BROKEN, "b.png")
        good, bad = answers(browser, 2)
        assert f"{BROKEN}: {text(bad, '.refused')}" == row["error"]
        assert (text(bad, "h2"), text(bad, "[data-role=verdict]")) == (BROKEN, "ERROR")
        assert text(good, "h2") == "b.png"
        said = [entry["message"] for entry in browser.get_log("browser")]
        assert len(said) == 1  # the browser's own line about the answer
        assert "422" in said[0]


def test_the_page_asks_for_the_token_and_keeps_it_in_the_tab(place, chromium):
    with serving("model.onnx", SSL_PCB_TOKEN=TOKEN) as address:
        with opened(chromium, address) as browser:
            give(browser, "b.png")
            (refused,) = answers(browser, 1)
            assert "token above is missing or wrong" in text(refused, ".refused")
            assert "401" in browser.get_log("browser")[0]["message"]
            browser.find_element(By.ID, "token").send_keys(TOKEN)
            give(browser, "b.png")
            assert text(answers(browser, 2)[0], "[data-role=verdict]") in ("OK", "NG", "REVIEW")
        with opened(chromium, address) as browser:
            give(browser, "b.png")
            assert text(answers(browser, 1)[0], "[data-role=verdict]") in ("OK", "NG", "REVIEW")
            assert json.loads(browser.execute_script("return JSON.stringify(localStorage)")) == {}


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_it_fits_phones_tablets_and_desktops(service, chromium, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    with opened(chromium, service[1]) as browser:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        give(browser, NAME, "b.png")
        answers(browser, 2)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
