"""Load `ssl-pcb serve model.onnx` with 64 clients beside a bare onnxruntime loop; write results/serve.json, serve.md.

    python scripts/bench_serve.py        # about three minutes

resnet18 at 128 px, trained for a moment on synthetic boards and exported; the images are JPEG files of 256 px. Each
client, a thread of one process of their own, posts one image after another over a connection that it keeps, and checks
the score that comes back. The bare loop does what the service does for an image, in one process and without HTTP: bytes
in memory, decoded, resized, stacked, run by onnxruntime on as many threads. How many images it takes at a time, in how
many threads, is what was fastest in a short trial. Service and loop take turns; a ratio is the median of the rounds'.
The clients' own work is done by the same processor, and counts against the service.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, product
from pathlib import Path
from typing import Any

import numpy as np
from bench_report import Row, keep
from bench_tools import make_images

from ssl_pcb import load_classifier
from ssl_pcb.cli.stages import run_stage
from ssl_pcb.data.parallel import cores
from ssl_pcb.data.synthetic.generate import synthesize
from ssl_pcb.deploy.items import Item, Reader
from ssl_pcb.deploy.predictor import Predictor
from ssl_pcb.imaging.encoded import Encoded
from ssl_pcb.stages.export import export

CLIENTS = 64
ROUNDS, SECONDS, TRIAL = 4, 15.0, 3.0
SIZE, SOURCE, IMAGES = 128, 256, 64
WAYS = (*product((1, 2), (8, 16, 32)),)
"""Threads of the bare loop, and images that each takes at a time."""
CLOSE = 1e-3
"""Scores move by less where images are judged in other company."""
PACKAGES = ("onnxruntime", "starlette", "uvicorn", "pillow")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for serve.json and serve.md")
    parser.add_argument("--clients", nargs=2, metavar=("PORT", "FOLDER"), help="be the clients of a running service")
    arguments = parser.parse_args()
    if arguments.clients:
        port, folder = arguments.clients
        print(json.dumps(load(int(port), Path(folder))))
        return
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as work:
        keep("serve", measured(Path(work)), arguments.out, "serve", PACKAGES)


def measured(work: Path) -> list[Row]:
    """Rows of the report."""
    busy = os.getloadavg()[0]
    predictor = load_classifier(exported(work))
    make_images(work / "images", IMAGES, SOURCE, "jpg")
    contents = [file.read_bytes() for file in pictures(work)]
    (work / "scores.json").write_text(json.dumps([each.score for each in predictor(contents)]))
    way = max(WAYS, key=lambda way: bare_rate(predictor, contents, *way, TRIAL))
    loaded, bare = [], []
    with serving(work / "model.onnx") as port:
        for _ in range(ROUNDS):
            loaded.append(by_clients(port, work))
            bare.append(bare_rate(predictor, contents, *way, SECONDS))
    return rows(loaded, bare, way, busy)


def exported(work: Path) -> Path:
    """A model file."""
    manifest = synthesize(
        work / "boards", boards=6, images_per_board=12, image_size=SIZE, style="colour", defect_rate=0.5
    )
    os.environ["SSL_PCB_CACHE"] = str(work / "cache")
    keys = {
        "data.manifest": str(manifest), "backbone.name": "resnet18", "data.image_size": SIZE, "checkpoint": "none",
        "training.batch_size": 16, "training.epochs": 1, "resamples": 100, "runtime.out": str(work / "run"),
        "runtime.device": "cpu", "runtime.precision": "fp32", "runtime.layout": "contiguous",
    }  # fmt: skip
    run_stage("finetune", None, keys, resume=False)
    export(work / "run", work / "model.onnx", None, int8=False)
    return work / "model.onnx"


def pictures(work: Path) -> list[Path]:
    return sorted((work / "images").iterdir())


def bare_rate(predictor: Predictor, contents: list[bytes], threads: int, batch: int, seconds: float) -> float:
    """Images a second of the bare loop."""
    facts, until = predictor.facts, time.perf_counter() + seconds

    def loop(start: int) -> int:
        reader, done = Reader(facts, facts.max_pixels), 0
        while time.perf_counter() < until:
            some = [contents[(start + done + place) % len(contents)] for place in range(batch)]
            cuts = [cut for each in some for cut in reader.samples(Item("image", Encoded("image", each)))]
            stacked = np.stack([cut.pixels for cut in cuts]).transpose(0, 3, 1, 2)
            predictor.network(np.ascontiguousarray(stacked))
            done += batch
        return done

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(loop, range(0, threads * 97, 97)))
    return done / (time.perf_counter() - began)


@contextmanager
def serving(model: Path) -> Iterator[int]:
    """The port of a running service."""
    command = [sys.executable, "-m", "ssl_pcb", "serve", str(model), "--port", "0"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield next(int(found[1]) for line in process.stdout if (found := re.search(r"http://\S+:(\d+)", line)))
        finally:
            process.terminate()
            process.communicate()


def by_clients(port: int, work: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--clients", str(port), str(work)]
    found: dict[str, Any] = json.loads(subprocess.check_output(command, text=True))
    return found


def load(port: int, work: Path) -> dict[str, Any]:
    """Post images for a while: milliseconds of each answer, how many were lost, and the processor's time it took."""
    contents = [file.read_bytes() for file in pictures(work)]
    scores = json.loads((work / "scores.json").read_text())
    spent, until = time.process_time(), time.perf_counter() + SECONDS

    def client(number: int) -> tuple[list[float], int]:
        connection, taken, lost = http.client.HTTPConnection("127.0.0.1", port, timeout=60), [], 0
        for place in count(number):
            if (began := time.perf_counter()) >= until:
                return taken, lost
            lost += not right(connection, contents[place % len(contents)], scores[place % len(scores)])
            taken.append(1000 * (time.perf_counter() - began))
        raise AssertionError("counting never ends")

    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(client, range(CLIENTS)))
    seconds = SECONDS + time.perf_counter() - until
    taken = [each for times, _ in found for each in times]
    spent = time.process_time() - spent
    return {"ms": taken, "lost": sum(lost for _, lost in found), "seconds": seconds, "cpu": spent}


def right(connection: http.client.HTTPConnection, content: bytes, score: float) -> bool:
    """Whether the answer is there and says what the classifier says."""
    try:
        connection.request("POST", "/predict", content, {"Content-Type": "image/jpeg"})
        answer = connection.getresponse()
        said = json.loads(answer.read())
    except (OSError, http.client.HTTPException):
        connection.close()
        return False
    return answer.status == 200 and abs(said["rows"][0]["score"] - score) < CLOSE


def rows(loaded: list[dict[str, Any]], bare: list[float], way: tuple[int, int], busy: float) -> list[Row]:
    taken = np.concatenate([each["ms"] for each in loaded])
    rates = [len(each["ms"]) / each["seconds"] for each in loaded]
    ratios = [rate / alone for rate, alone in zip(rates, bare, strict=True)]
    seconds = sum(each["seconds"] for each in loaded)
    share = 100 * sum(each["cpu"] for each in loaded) / seconds / cores()

    def row(name: str, value: float, detail: str, **target: float) -> Row:
        return {"name": name, "value": float(value), "detail": detail} | target

    def listed(found: list[float], digits: int = 0) -> str:
        return ", ".join(f"{each:.{digits}f}" for each in found)

    return [
        row(
            "requests lost or answered wrongly", sum(each["lost"] for each in loaded),
            f"of {len(taken):,} by {CLIENTS} clients at once in {seconds:.0f} s", at_most=0,
        ),
        row(
            "images/s of the service, share of the bare loop's", np.median(ratios),
            f"{listed(ratios, 2)} in {ROUNDS} rounds of {SECONDS:.0f} s in turn; the clients took {share:.0f} % of the "
            f"processor, and other work kept {busy:.1f} threads busy before it began", at_least=0.8,
        ),
        row("images/s of the service", np.median(rates), listed(rates)),
        row("images/s of the bare loop", np.median(bare), f"{listed(bare)}; {way[0]} threads, {way[1]} at a time"),
        row("milliseconds to an answer, p50", np.percentile(taken, 50), "as clients see it"),
        row("milliseconds to an answer, p99", np.percentile(taken, 99), "as clients see it"),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
