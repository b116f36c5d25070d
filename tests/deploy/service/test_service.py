"""What the service answers: the rows of ``predict``, or one sentence."""

import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image

from ssl_pcb.deploy.overlay import COLOURS
from ssl_pcb.deploy.predictor import Outputs, Predictor
from ssl_pcb.deploy.service.limits import MIB
from ssl_pcb.deploy.service.uploads import LONGEST_NAME
from tests.deploy.conftest import facts
from tests.deploy.service.conftest import encoded, grey, sent, until

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
FRAMES = [Image.fromarray(grey(level)) for level in (150, 20)]
READ = {
    "grey.png": encoded(grey(50)), "colour.jpg": encoded(NOISE[..., :3], "JPEG"),
    "deep.png": encoded(NOISE[..., 0].astype(np.uint16) << 4), "tiny.bmp": encoded(grey(90, 5, 7), "BMP"),
    "cmyk.tif": encoded(Image.fromarray(NOISE, "CMYK"), "TIFF"), "alpha.webp": encoded(NOISE, "WEBP", lossless=True),
    "<script>alert('é 漢')<b>.png": encoded(grey(90)),
}  # fmt: skip
BOMB = encoded(grey(0, 2000, 2000))
BAD = {
    "animated.gif": (encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), "several pictures"),
    "empty.png": (b"", "empty file"), "truncated.png": (encoded(NOISE)[:3000], "damaged or truncated"),
    "bomb.png": (BOMB, "more than the 1,000,000 allowed"), "text.jpg": (b"hello", "not an image"),
    "dot.png": (encoded(grey(50, 1, 1)), "1x1 px is too small"), "line.png": (encoded(grey(50, 3, 900)), "900x3 px is"),
    "page.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    "deeper.png": (encoded(np.full((16, 16), 60_000, np.uint16)), "more than the 12 bits"),
}  # fmt: skip


def said_by_predict(cli, model, files):
    """Rows of the command line for the same files."""
    for name, content in files.items():
        Path(name).write_bytes(content)
    return [json.loads(line) for line in cli("predict", model, *files, "--format", "jsonl").out.splitlines()]


@pytest.mark.parametrize("tile", [None, 32])
def test_rows_are_those_of_predict_for_the_same_files(client, brightness, ssl_pcb_cli, tmp_path, monkeypatch, tile):
    monkeypatch.chdir(tmp_path)
    files = READ | {name: content for name, (content, _) in BAD.items()}
    rows = said_by_predict(ssl_pcb_cli, brightness(tile=tile, bit_depth=12), files)
    for row in rows:  # what no client of a service can mend
        row["error"] = row["error"] and re.sub(r"( \(an image bomb|, or train with data\.).*", "", row["error"])
    asked = client(tile=tile, bit_depth=12)
    together = sent(asked, *files.items())
    assert together.status_code == 422
    assert together.json()["rows"] == rows
    assert together.json()["error"] == rows[len(READ)]["error"]
    for (name, content), row in zip(files.items(), rows, strict=True):
        alone = sent(asked, (name, content))
        assert alone.json() == {"error": row["error"], "rows": [row]}
        assert alone.status_code == (422 if row["error"] else 200), name


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_answered_in_one_sentence_and_the_service_lives_on(client, name):
    content, reason = BAD[name]
    asked = client(bit_depth=12)
    for kind in ("multipart", "raw"):
        found = (
            sent(asked, (name, content))
            if kind == "multipart"
            else asked.post("/predict", content=content, headers={"content-type": "image/png"})
        )
        assert found.status_code == 422
        assert reason in found.json()["error"]
        assert not re.search(r"--\w|data\.\w", found.json()["error"])
        assert len(found.json()["error"].splitlines()) == 1
    assert sent(asked, ("good.png", encoded(grey(50)))).json()["rows"][0]["verdict"] == "OK"


def test_one_image_may_be_sent_as_it_is(client):
    asked = client()
    for kind in ("image/png", "application/octet-stream"):
        (row,) = asked.post("/predict", content=encoded(grey(120)), headers={"content-type": kind}).json()["rows"]
        assert (row["path"], row["verdict"], row["score"]) == ("image 1", "NG", 20)


@pytest.mark.parametrize(
    ("request_", "status", "sentence"),
    [
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, 415, "send multipart/form-data"),
        ({"content": b"x"}, 415, "send multipart/form-data"),
        ({"files": {"picture": ("a.png", b"x")}}, 422, "neither 'image' nor 'reference'"),
        ({"files": {"reference": ("a.png", b"x")}}, 422, "send 1 to 32 files"),
        ({"data": {"image": "a.png"}, "files": {"reference": ("a.png", b"x")}}, 422, "send 1 to 32 files"),
        ({"files": [("image", ("a.png", b"x"))] * 34}, 400, "Too many files"),
        ({"files": [("image", ("a.png", b"x"))] * 33}, 422, "send 1 to 32 files"),
        ({"files": {"image": ("a.png", bytes(MIB))}}, 413, "larger than the 1 MiB allowed"),
        ({"content": b"--x\r\nno form", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400, ""),
        ({"content": b"", "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
        ({"content": iter([b"x"]), "headers": {"content-type": "image/png"}}, 411, "Content-Length"),
        (
            {
                "content": iter([bytes(MIB)] * 20),
                "headers": {"content-type": "image/png", "content-length": "1", "transfer-encoding": "chunked"},
            },
            411, "in one piece",
        ),
    ],
)  # fmt: skip
def test_requests_that_are_none_are_refused_in_one_sentence(client, request_, status, sentence):
    asked = client()
    found = asked.post("/predict", **request_)
    assert found.status_code == status
    assert sentence in found.json()["error"]
    assert len(found.json()["error"].splitlines()) == 1
    assert asked.get("/health").json()["status"] == "ok"


def test_names_are_one_line_of_text_and_not_too_long(client):
    odd = 'a"\r\n\x1b[31m\u202eb.png'
    given = [(odd, encoded(grey(50))), ("x" * 900, b"")]
    first, second = sent(client(), *given).json()["rows"]
    assert first["path"].isprintable()
    assert first["path"].endswith("b.png")
    assert second["path"] == "x" * LONGEST_NAME
    assert len(second["error"]) < LONGEST_NAME + 100


def test_a_golden_image_is_compared_with_each_and_asked_for_where_the_network_needs_it(client):
    image, golden = grey(50), grey(50)
    image[4:8, 4:8] = 250
    files = [("image", ("a.png", encoded(image))), ("image", ("b.png", encoded(golden)))]
    files += [("reference", ("golden.png", encoded(golden)))]
    first, second = client().post("/predict", files=files).json()["rows"]
    assert first["difference"] > 0.3
    assert second["difference"] == 0
    pair = client(references=True)
    missing = sent(pair, ("a.png", encoded(image)))
    assert (missing.status_code, "send one as the part 'reference'" in missing.json()["error"]) == (422, True)
    assert pair.post("/predict", files=files).status_code == 200
    files[2] = ("reference", ("golden.png", encoded(grey(50, 20, 20))))
    refused = pair.post("/predict", files=files).json()["error"]
    assert refused.endswith("a golden image of 20x20 px cannot be aligned pixel by pixel")


class Gated:
    """A network that computes when the gate is open."""

    def __init__(self):
        self.gate, self.sizes = Event(), []

    def __call__(self, pixels):
        assert self.gate.wait(30)
        self.sizes.append(len(pixels))
        return Outputs(pixels.mean((1, 2, 3), dtype=np.float64) - 100, None)


def counted(client, name):
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_a_full_queue_is_said_at_once_and_what_was_accepted_is_answered(client):
    network = Gated()
    asked = client(Predictor(facts(), network), queue=3, batch=1)
    with ThreadPoolExecutor(5) as pool:
        going = []
        for level in range(5):  # two are being judged, three wait
            going.append(pool.submit(sent, asked, (f"{level}.png", encoded(grey(level)))))
            taken, waiting = min(level + 1, 2), max(level - 1, 0)
            until(lambda n=taken: counted(asked, "ssl_pcb_batch_images_count") == n)
            until(lambda n=waiting: counted(asked, "ssl_pcb_waiting_images") == n)
        full = sent(asked, ("late.png", encoded(grey(9))))
        assert (full.status_code, full.headers["retry-after"]) == (503, "1")
        assert "3 images wait, of 3 that may" in full.json()["error"]
        network.gate.set()
        answers = [each.result(30) for each in going]
    assert [each.status_code for each in answers] == [200] * 5
    assert [each.json()["rows"][0]["score"] for each in answers] == [level - 100 for level in range(5)]
    assert sent(asked, ("late.png", encoded(grey(9)))).status_code == 200


def test_more_than_may_ever_wait_are_not_told_to_try_again(client):
    found = sent(client(queue=3), *((f"{number}.png", encoded(grey(50))) for number in range(4)))
    assert found.status_code == 413
    assert found.json()["error"] == "4 images at once, and 3 may wait; send fewer"


def test_concurrent_requests_are_judged_together_and_each_gets_its_own_row(client):
    network = Gated()
    asked = client(Predictor(facts(), network))
    with ThreadPoolExecutor(40) as pool:
        first = [pool.submit(sent, asked, ("first.png", encoded(grey(1)))) for _ in range(2)]
        until(lambda: counted(asked, "ssl_pcb_batch_images_count") >= 1)
        going = [pool.submit(sent, asked, (f"{level}.png", encoded(grey(level)))) for level in range(38)]
        until(lambda: counted(asked, "ssl_pcb_held_bytes") >= 40 * 80)
        network.gate.set()
        rows = [each.result(30).json()["rows"][0] for each in going]
    assert [each.result().status_code for each in first] == [200, 200]
    assert [(row["path"], row["score"]) for row in rows] == [(f"{level}.png", level - 100) for level in range(38)]
    assert sum(network.sizes) == 40
    assert max(network.sizes) > 4


def test_a_network_that_fails_is_answered_500_and_the_service_lives_on(client, caplog):
    def network(pixels):
        if pixels.max() > 100:
            raise RuntimeError("a planted fault")
        return Outputs(pixels.mean((1, 2, 3), dtype=np.float64), None)

    asked = client(Predictor(facts(), network))
    failed = sent(asked, ("a.png", encoded(grey(200))))
    assert (failed.status_code, failed.json()) == (500, {"error": "the service itself failed; its log says why"})
    assert "a planted fault" in caplog.text
    assert sent(asked, ("a.png", encoded(grey(50)))).status_code == 200


def test_metrics_count_verdicts_batches_and_refusals(client):
    asked = client()
    sent(asked, ("a.png", encoded(grey(120))), ("b.png", encoded(grey(50))), ("c.png", b""))
    asked.get("/no/such/page")
    assert counted(asked, 'ssl_pcb_images_total{verdict="NG"}') == 1
    assert counted(asked, 'ssl_pcb_images_total{verdict="OK"}') == 1
    assert counted(asked, 'ssl_pcb_images_total{verdict="unreadable"}') == 1
    assert counted(asked, "ssl_pcb_batch_images_sum") == 3
    assert counted(asked, 'ssl_pcb_requests_total{path="/predict",status="422"}') == 1
    assert counted(asked, 'ssl_pcb_requests_total{path="other",status="404"}') == 1
    assert counted(asked, "ssl_pcb_held_bytes") == 0
    assert "_created" not in asked.get("/metrics").text


def test_one_image_is_drawn_with_what_is_not_ok_outlined(client):
    asked = client(tile=32)
    panel = grey(50, 96, 96)
    panel[64:96, 0:32] = 200
    drawn = asked.post("/overlay", files={"image": ("panel.png", encoded(panel))})
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/png")
    picture = np.asarray(Image.open(io.BytesIO(drawn.content)))
    rows, columns = np.nonzero((picture == COLOURS["NG"]).all(-1))
    assert picture.shape == (480, 480, 3)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (320, 479, 0, 159)
    two = asked.post("/overlay", files=[("image", ("a.png", b"")), ("image", ("b.png", b""))])
    assert (two.status_code, two.json()["error"]) == (422, "send one image, not 2")
    bad = asked.post("/overlay", files={"image": ("a.png", b"")})
    assert (bad.status_code, bad.json()["error"]) == (422, "a.png: empty file, not an image")
