"""Boards in shards, and a server to fetch them from."""

import http.server
import ssl
import threading
from functools import partial
from pathlib import Path

import pytest
from PIL import Image
from shard_files import SIZE, picture

from ssl_pcb.config.data import DataConfig
from ssl_pcb.data.manifest import Manifest
from ssl_pcb.data.shards.write import write_shards


@pytest.fixture
def boards(tmp_path) -> Manifest:
    """50 numbered pictures: boards t0 to t3 to train on, v to validate, h of one kept apart."""
    rows = []
    for number in range(50):
        Image.fromarray(picture(number)).save(tmp_path / f"{number}.png")
        split = "val" if number >= 45 else "holdout" if number == 44 else "train"
        rows.append({"path": f"{number}.png", "label": ("Defective", "NonDefective", "")[number % 3],
                     "group": "v" if split == "val" else f"t{number % 4}", "split": split})  # fmt: skip
    return Manifest.build(rows, tmp_path)


@pytest.fixture
def config(tmp_path) -> DataConfig:
    return DataConfig(image_size=SIZE, cache=tmp_path / "cache")


@pytest.fixture
def shards(boards, config, tmp_path) -> Path:
    """Their 44 training samples in shards of 10, with an index."""
    write_shards(boards, "boards", tmp_path / "shards", config, per_shard=10)
    return tmp_path / "shards"


class Answers(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path.startswith("/troubled/"):
            _, _, times, trouble, file = self.path.split("/", 4)
            if self.server.asked.count(self.path) > int(times):
                self.path = f"/{file}"
                super().do_GET()
            elif trouble != "drop":
                self.send_error(int(trouble))
        elif "/to/" in self.path:
            self.send_response(302)
            self.send_header("Location", self.path.partition("/to/")[2])
            self.end_headers()
        elif self.path.startswith("/short/"):
            _, _, times, file = self.path.split("/", 3)
            data = (Path(self.directory) / file).read_bytes()
            cut = file.endswith(".tar") and self.server.asked.count(self.path) <= int(times)
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if cut else data)
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


class Listening(http.server.ThreadingHTTPServer):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.asked = []

    def handle_error(self, *_):  # a client that refuses the certificate hangs up
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Address of a server of ``tmp_path`` that this process trusts.

    ``/to/X`` redirects to X, ``/troubled/N/503/X`` answers 503 N times, and ``drop`` there hangs up;
    ``/short/N/X`` sends half of a tar file N times.
    """
    import trustme

    from ssl_pcb.data.shards import opening

    monkeypatch.setattr(opening, "PAUSES", (0, 0))

    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    listening = Listening(("localhost", 0), partial(Answers, directory=str(tmp_path)))
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    yield f"https://localhost:{listening.server_port}"
    listening.shutdown()
    thread.join()
    listening.server_close()
