"""Working folders of tests that run whole stages."""

import shutil

import pytest
from pages import NASTY, NASTY_FOLDER, NASTY_TYPE

from ssl_pcb.data.manifest import Manifest


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, synthetic_boards):
    """A working folder with ``m.csv`` and its own cache."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SSL_PCB_CACHE", str(folder / "cache"))
        Manifest.read(synthetic_boards).write("m.csv")
        yield folder


@pytest.fixture(scope="module")
def paired(tmp_path_factory, synthetic_boards):
    """A working folder with ``m.csv``, whose column ``reference`` names each image's clean twin."""
    folder = tmp_path_factory.mktemp("paired")
    manifest = Manifest.read(synthetic_boards)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SSL_PCB_CACHE", str(folder / "cache"))
        Manifest(manifest.frame.assign(reference=manifest.frame["twin"]), manifest.root).write("m.csv")
        yield folder


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A headless Chromium of the system's packages, which keeps what pages say and ask for."""
    from selenium import webdriver

    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if None in programs:
        pytest.skip("chromium and chromium-driver are not installed; .ci/run does that on Debian")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--force-prefers-reduced-motion"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs[1]))
    driver.set_window_size(1280, 900)
    driver.downloads = tmp_path_factory.mktemp("downloads")
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(driver.downloads)})
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, synthetic_boards):
    """A working folder with ``m.csv``, in which all that people may name has a name that would rather be code."""
    folder = tmp_path_factory.mktemp("hostile")
    manifest = Manifest.read(synthetic_boards)
    frame = manifest.frame[["path", "label", "group", "split", "boxes", "types"]].copy()
    (folder / NASTY_FOLDER).mkdir()
    for row, path in enumerate(frame["path"]):
        name = f"{NASTY_FOLDER}/{row:02} 'é' <b>\"漢\".png"
        shutil.copy(manifest.root / path, folder / name)
        frame.loc[row, "path"] = name
    frame["group"] = [f"{NASTY} {group}" for group in frame["group"]]
    frame["types"] = [";".join(f"{NASTY_TYPE} {each}" for each in text.split(";") if each) for text in frame["types"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SSL_PCB_CACHE", str(folder / "cache"))
        Manifest.build(frame, folder).write("m.csv")
        yield folder
