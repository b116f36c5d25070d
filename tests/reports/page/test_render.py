"""Pages that nothing in them can break out of."""

import html.parser
import json

import pytest

from ssl_pcb.errors import UserError
from ssl_pcb.reports.page import render

NASTY = "</script><script>alert(1)</script><!-- \u2028 \"quoted\" 'it' & é 漢"


class Parsed(html.parser.HTMLParser):
    """Scripts of a page by type, the text outside of them, and every address that it names."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.text, self.links, self._open = [], "", [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.links += [found[key] for key in ("src", "href", "action") if key in found]
        self._open = found.get("type", "code") if tag == "script" else self._open

    def handle_endtag(self, tag):
        self._open = None if tag == "script" else self._open

    def handle_data(self, data):
        if self._open:
            self.scripts.append((self._open, data))
        else:
            self.text += data


def page(data, title="a page"):
    shown = {"title": title, "count": 1, "labels": 2, "unit": "tile", "command": "c", "folder": "f"}
    return render.rendered("review.html", ["charts.js"], data, shown | {"version": "0", "auroc": None, "heated": False})


def test_data_come_back_as_they_were_and_cannot_end_their_element():
    data = {NASTY: [NASTY, 1.5, None]}
    parsed = Parsed(page(data))
    kinds = [kind for kind, _ in parsed.scripts]
    assert kinds == ["application/json", "code"]
    assert json.loads(parsed.scripts[0][1]) == data
    assert "alert" not in parsed.scripts[1][1]


def test_what_a_template_is_given_is_text():
    parsed = Parsed(page({}, title=NASTY))
    assert NASTY in parsed.text
    assert len(parsed.scripts) == 2


def test_a_page_fetches_nothing():
    parsed = Parsed(page({}))
    assert all(link.startswith(("data:", "#")) for link in parsed.links)
    assert "default-src 'none'" in page({})


def test_numbers_that_json_has_not_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        page({"a": float("nan")})


def test_a_page_that_grew_too_large_is_refused_and_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(render, "MOST_BYTES", 5000)
    with pytest.raises(UserError, match=r"x\.html: would take .* MB.*--pictures"):
        render.write_page("report.html", [], {}, {"title": "t", "runs": [], "beside": None, "made": "", "version": ""},
                          tmp_path / "x.html")  # fmt: skip
    assert not list(tmp_path.iterdir())
