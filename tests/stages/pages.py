"""What tests of pages share."""

import json

NASTY = "</script><script>document.title='hacked'</script>\"'&é漢"
NASTY_TYPE = "<img src=x onerror=document.title='hacked'>"
NASTY_FOLDER = "=<i>pictures & 'more'"
"""What people may name boards, types of defects and folders."""

SMALL = {
    "data.manifest": "m.csv", "backbone.name": "test_resnet", "data.image_size": 32, "training.batch_size": 8,
    "training.epochs": 2, "runtime.threads": 1, "runtime.precision": "fp32", "runtime.layout": "contiguous",
    "runtime.device": "cpu",
}  # fmt: skip


def data_of(page):
    """What a page's code reads."""
    text = page.read_text(encoding="utf-8").split('<script type="application/json" id="data">')[1]
    return json.loads(text.split("</script>")[0])


def visit(browser, page):
    """Open a page, with what was said and asked for before forgotten."""
    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(page.resolve().as_uri())


def complaints(browser, own="file:"):
    """Lines of the console, and requests for anything but the page itself, what it holds and what is its ``own``."""
    said = [entry["message"] for entry in browser.get_log("browser")]
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        each["params"]["request"]["url"]
        for each in messages
        if each["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated") and "request" in each["params"]
    ]
    return said + [url for url in asked if not url.startswith(("data:", "blob:", "about:", own))]
