"""Who may ask."""

import pytest

from ssl_pcb.deploy.service.access import read_token, refuse_open_doors
from ssl_pcb.errors import UserError
from tests.deploy.service.conftest import encoded, grey, sent

TOKEN = "correct-horse-battery"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \xe9"]
)
def test_without_the_token_nothing_is_judged_or_counted_out(client, header):
    asked = client(token=TOKEN)
    headers = {} if header is None else {"authorization": header.encode("latin-1")}
    for found in (
        sent(asked, ("a.png", encoded(grey(50))), headers=headers),
        asked.get("/metrics", headers=headers),
        asked.get("/none", headers=headers),
    ):
        assert found.status_code == 401
        assert found.headers["www-authenticate"] == "Bearer"
        assert list(found.json()) == ["error"]
    assert asked.get("/", headers=headers).status_code == asked.get("/health", headers=headers).status_code == 200


def test_with_the_token_it_answers_under_any_name(client):
    asked = client(token=TOKEN, host="http://line-3.example")
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert sent(asked, ("a.png", encoded(grey(50))), headers=headers).status_code == 200
    assert asked.get("/metrics", headers=headers).status_code == 200


def test_without_a_token_it_answers_under_names_of_this_computer_alone(client):
    assert sent(client(host="http://localhost:8000"), ("a.png", encoded(grey(50)))).status_code == 200
    assert client(host="http://[::1]:8000").get("/health").status_code == 200
    assert client(host="http://rebound.example").get("/").status_code == 400


def test_tokens_come_from_a_file_or_the_variable(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file, {"SSL_PCB_TOKEN": "another-one-of-them"}) == TOKEN
    assert read_token(None, {"SSL_PCB_TOKEN": TOKEN}) == TOKEN
    assert read_token(None, {}) is None


@pytest.mark.parametrize(
    "token", ["", "short", "with spaces in all of it", "n\u00f6n-ascii-letters-here", "tab\tin-the-middle-of"]
)
def test_tokens_that_protect_nothing_are_refused(tmp_path, token):
    file = tmp_path / "token"
    file.write_text(token, encoding="utf-8")
    for given in ((file, {}), (None, {"SSL_PCB_TOKEN": token})):
        with pytest.raises(UserError, match="must hold a token of at least 16"):
            read_token(*given)
    with pytest.raises(UserError, match="cannot be read"):
        read_token(tmp_path / "absent", {})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1"])
def test_other_addresses_want_a_token(host):
    with pytest.raises(UserError, match="other computers could ask too"):
        refuse_open_doors(host, None)
    refuse_open_doors(host, TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "::1", "localhost"])
def test_this_computer_wants_none(host):
    refuse_open_doors(host, None)


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://[evil", "http://127.0.0.1:9999"])
def test_pages_of_elsewhere_cannot_make_a_browser_ask(client, token, origin):
    asked = client(token=token, host="http://127.0.0.1:8000")
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    found = sent(asked, ("a.png", encoded(grey(50))), headers=headers | {"origin": origin})
    assert found.status_code == 403
    assert list(found.json()) == ["error"]
    own = sent(asked, ("a.png", encoded(grey(50))), headers=headers | {"origin": "http://127.0.0.1:8000"})
    assert own.status_code == 200
