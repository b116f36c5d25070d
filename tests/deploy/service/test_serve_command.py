"""``ssl-pcb serve`` as a process: it refuses what would be open to all, and stops when all is answered."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.service.conftest import encoded, grey, until

TOKEN = "correct-horse-battery"
ROOT = Path(__file__).parents[3]


@contextmanager
def serving(model, *flags, **variables):
    """A running service and its port."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | variables
    command = [sys.executable, "-m", "ssl_pcb", "serve", model, "--port", "0", *flags]
    process = subprocess.Popen(
        list(map(str, command)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        found = re.search(r"http://\S+:(\d+) shows a page", process.stdout.readline())
        yield process, int(found[1])
    finally:
        process.kill()
        process.communicate()


def asked(port, method, path, body=None, headers=None):
    """Status and body of an answer, over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def judged(port, level):
    status, body = asked(port, "POST", "/predict", encoded(grey(level)), {"content-type": "image/png"})
    return status, json.loads(body)["rows"][0]["score"]


def held(port):
    return float(re.search(rb"^ssl_pcb_held_bytes (\S+)", asked(port, "GET", "/metrics")[1], re.M)[1])


def begun(port, content):
    """A connection on which half of a request is sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Type", "image/png")
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders(content[:20])
    return connection


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_when_what_was_accepted_is_answered(brightness, sign):
    contents = [encoded(grey(level)) for level in range(4)]
    with serving(brightness()) as (process, port):
        connections = [begun(port, content) for content in contents]
        until(lambda: held(port) == sum(map(len, contents)))
        process.send_signal(sign)
        until(lambda: refused(port))
        for level, (connection, content) in enumerate(zip(connections, contents, strict=True)):
            connection.send(content[20:])
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())["rows"][0]["score"]) == (200, level - 100)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert said == "stopped; all that was accepted is answered\n"


def test_a_second_ctrl_c_leaves_what_is_not_answered(brightness):
    content = encoded(grey(50))
    with serving(brightness()) as (process, port):
        begun_one = begun(port, content)  # and never sent whole, so that it would be waited for
        until(lambda: held(port) == len(content))
        process.send_signal(signal.SIGINT)
        until(lambda: refused(port))
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
        begun_one.close()
    assert process.returncode == 130
    assert "all that was accepted is answered" not in said
    assert "Traceback" not in said


def test_with_a_token_it_listens_to_others(brightness):
    with serving(brightness(), "--host", "0.0.0.0", SSL_PCB_TOKEN=TOKEN) as (process, port):
        assert TOKEN not in Path(f"/proc/{process.pid}/cmdline").read_text()
        assert asked(port, "GET", "/health")[0] == 200
        assert asked(port, "GET", "/metrics")[0] == 401
        assert asked(port, "GET", "/metrics", headers={"authorization": f"Bearer {TOKEN}"})[0] == 200


def test_large_requests_are_refused_with_a_sentence_and_not_with_a_broken_connection(brightness):
    large = bytes(8 * 1024**2)
    with serving(brightness(), "--max-mib", 4, SSL_PCB_TOKEN=TOKEN) as (_, port):
        known = {"authorization": f"Bearer {TOKEN}"}
        for path, headers, status in (
            ("/predict", known | {"content-type": "image/png"}, 413), ("/predict", {"content-type": "image/png"}, 401),
            ("/predict", known | {"content-type": "text/plain"}, 413), ("/none", known, 404),
        ):  # fmt: skip
            found, body = asked(port, "POST", path, large, headers)
            assert (found, list(json.loads(body))) == (status, ["error"])
        # Whoever asks first is told before the bytes are sent.
        with socket.create_connection(("127.0.0.1", port)) as raw:
            head = "POST /predict HTTP/1.1", "Host: x", f"Authorization: Bearer {TOKEN}", "Content-Type: image/png"
            more = f"Content-Length: {len(large)}", "Expect: 100-continue", "", ""
            raw.sendall("\r\n".join(head + more).encode())
            assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_what_breaks_off_or_is_no_http_leaves_it_alive(brightness):
    with serving(brightness()) as (_, port):
        for said in (
            b"\x00\xff" * 500,
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 900\r\n\r\nabc",
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port)) as raw:
                raw.sendall(said)
        assert judged(port, 50) == (200, -50)
        assert held(port) == 0


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--host", "0.0.0.0"], "other computers could ask too"), (["--host", "::"], "other computers could ask too"),
        (["--host", "no.such.name.invalid"], "there is no address"), (["--token-file", "none"], "cannot be read"),
        (["--evaluation", "x"], "carries its own thresholds"), (["--queue", "0"], "0 is not in the range"),
    ],
)  # fmt: skip
def test_what_the_user_can_mend_ends_with_2_and_one_line(brightness, ssl_pcb_cli, monkeypatch, flags, sentence):
    monkeypatch.delenv("SSL_PCB_TOKEN", raising=False)
    ended = ssl_pcb_cli("serve", brightness(), "--port", 0, *flags)
    assert ended.code == 2
    assert sentence in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_port_that_is_taken_is_said(brightness, ssl_pcb_cli):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = ssl_pcb_cli("serve", brightness(), "--port", taken.getsockname()[1])
    assert (ended.code, "choose another --port" in ended.err) == (2, True)
    assert "no such model" in ssl_pcb_cli("serve", "none.onnx").err
