"""Only local files and https are read, whoever names them."""

import json
import ssl

import pytest
from shard_files import foreign, settings

from ssl_pcb.data.shards.listing import list_shards
from ssl_pcb.data.shards.opening import read_whole
from ssl_pcb.data.shards.pool import open_shards
from ssl_pcb.errors import UserError

REFUSED = (
    "pipe:touch ran", "pipe:curl https://example.com/x.tar", "http://localhost/x.tar", "file:///etc/x.tar",
    "s3://bucket/x.tar", "gs://bucket/x.tar", "ftp://localhost/x.tar", "hdfs://localhost/x.tar", "data:,x.tar",
    "simplecache::https://localhost/x.tar", "HTTP://localhost/x.tar", "https:x.tar", "-",
)  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refusal(text):
    with pytest.raises(UserError) as refused:
        open_shards(str(text), settings(3), 0, False)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("location", REFUSED)
def test_other_schemes_are_refused(location, tmp_path):
    assert "only local files and https:// are read" in refusal(location)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("location", REFUSED)
def test_a_list_cannot_name_other_schemes(location, tmp_path):
    foreign(tmp_path / "a.tar", [1])
    (tmp_path / "list.txt").write_text(f"# mine\na.tar\n{location}\n")
    assert "list.txt, line 3" in refusal(tmp_path / "list.txt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("location", [*REFUSED, "../a.tar", "/etc/a.tar", "sub/a.tar", "https://localhost/a.tar"])
@pytest.mark.parametrize("place", ["shard", "table"])
def test_an_index_names_plain_files_beside_it(location, place, shards):
    index = json.loads((shards / "index.json").read_text())
    (index["table"] if place == "table" else index["shards"][1])["name"] = location
    (shards / "index.json").write_text(json.dumps(index))
    assert "index.json: is no index of shards" in refusal(shards / "index.json")


@pytest.mark.parametrize(
    "spec", [{"size": 0}, {"size": 1 << 20}, {"margin": -1}, {"channels": 2}, {"bit_depth": 17}, {"size": "big"}]
)
def test_an_index_with_impossible_pixels_is_refused(spec, shards):
    index = json.loads((shards / "index.json").read_text())
    index["spec"] |= spec
    (shards / "index.json").write_text(json.dumps(index))
    assert "index.json: is no index of shards (spec" in refusal(shards / "index.json")


def test_lists_patterns_and_ranges_name_what_is_there(tmp_path):
    (tmp_path / "sub").mkdir()
    made = [str(foreign(tmp_path / "sub" / f"s-{i:02d}.tar", [i])) for i in range(12)]
    (tmp_path / "list.txt").write_text("# a comment\n\nsub/s-00.tar\r\nsub/s-{01..03}.tar\nsub/s-1*.tar\n")
    assert list(list_shards(str(tmp_path / "list.txt")).shards) == made[:4] + made[10:]
    assert list(list_shards(str(tmp_path / "sub" / "*.tar")).shards) == made
    assert list(list_shards(str(tmp_path / "sub" / "s-{08..11}.tar")).shards) == made[8:]
    assert list(list_shards(made[3]).shards) == [made[3]]
    assert list_shards("https://host/a-{8..10}.tar").shards == tuple(f"https://host/a-{i}.tar" for i in (8, 9, 10))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing/*.tar", "nothing/*.tar: matches no file"),
        ("gone.tar", "gone.tar: no such shard"),
        ("s-{00..03}.tar", "s-01.tar: no such shard"),
        ("s-{03..01}.tar", "the range 03..01 is empty"),
        ("s-{0..99999999999}.tar", "is empty or longer than"),
        ("s-00.zip", "s-00.zip: is no .tar file"),
        ("empty.txt", "empty.txt: lists no shards"),
        ("gone.txt", "gone.txt: cannot be read"),
        ("twice.txt", "s-00.tar twice"),
        ("nested.txt", "nested.txt, line 1: empty.txt: is no .tar file"),
        (".", "index.json: no such file"),
        ("https://localhost/*.tar", "a server lists no files"),
        ("https://me:secret@localhost/a.tar", "holds a user name or password"),
        ("https:///a.tar", "not a complete https address"),
        ("https://localhost:port/a.tar", "not a complete https address"),
        ("x" * 300, "is no .tar file"),
        ("x" * 300 + ".tar", "x.tar: no such shard"),
        ("x" * 300 + "*.tar", "x*.tar: matches no file"),
        ("x" * 300 + ".txt", "x.txt: cannot be read (File name too long)"),
        ("long.txt", "x.tar: no such shard"),
        ("a\0.tar", "is refused"),
        ("null.txt", "null.txt, line 1: 'a\0.tar' is refused"),
    ],
)
def test_what_matches_nothing_is_said(text, said, tmp_path):
    foreign(tmp_path / "s-00.tar", [1])
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "twice.txt").write_text("s-00.tar\n./s-00.tar\n")
    (tmp_path / "nested.txt").write_text("empty.txt\n")
    (tmp_path / "long.txt").write_text("x" * 300 + ".tar\n")
    (tmp_path / "null.txt").write_text("a\0.tar\n")
    message = refusal(text)
    assert said in message
    assert "secret" not in message


def test_shards_come_over_https(shards, server):
    local = open_shards(str(shards / "index.json"), settings("auto"), 0, False)
    remote = open_shards(f"{server}/shards/index.json", settings("auto"), 0, False)
    assert remote.seen() == local.seen()
    for one, other in zip(local.batches(0, 11), remote.batches(0, 11), strict=True):
        assert (one.inputs == other.inputs).all()
        assert (one.labels == other.labels).all()


def test_a_list_and_its_shards_come_over_https(tmp_path, server):
    foreign(tmp_path / "a.tar", range(8))
    (tmp_path / "list.txt").write_text("a.tar\n")
    assert len(open_shards(f"{server}/list.txt", settings(3), 0, False)) == 8
    (tmp_path / "list.txt").write_text(f"C:{tmp_path}/a.tar\n")
    assert "a remote list names https alone" in refusal(f"{server}/list.txt")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("böard.tar", "is not a complete https address"),
        ("//[x/a.tar", "is not a complete https address"),
        ("//localhost:port/a.tar", "is not a complete https address"),
        ("//me:secret@localhost/a.tar", "https://...@localhost holds a user name or password"),
        ("a b.tar", "is not a complete https address"),
    ],
)
def test_a_remote_list_names_whole_addresses(line, said, tmp_path, server):
    (tmp_path / "list.txt").write_text(f"# mine\n{line}\n", encoding="utf-8")
    message = refusal(f"{server}/list.txt")
    assert "list.txt, line 2: " in message
    assert said in message
    assert "secret" not in message


@pytest.mark.parametrize("trouble", ["503", "429", "drop"])
def test_a_server_in_passing_trouble_is_asked_again(trouble, tmp_path, server):
    foreign(tmp_path / "a.tar", range(8))
    assert len(open_shards(f"{server}/troubled/2/{trouble}/a.tar", settings(3), 0, False)) == 8
    assert f"troubled/3/{trouble}/a.tar: " in refusal(f"{server}/troubled/3/{trouble}/a.tar")


def test_a_shard_that_the_server_cuts_off_is_read_on(shards, server):
    whole = open_shards(str(shards / "index.json"), settings("auto"), 0, False)
    once = open_shards(f"{server}/short/1/shards/index.json", settings("auto"), 0, False)
    for one, other in zip(whole.batches(0, 11), once.batches(0, 11), strict=True):
        assert (one.inputs == other.inputs).all()
    never = open_shards(f"{server}/short/99/shards/index.json", settings("auto"), 0, False)
    with pytest.raises(UserError, match=r"cannot be read \(the server ended it early\)"):
        list(never.batches(0, 11))


@pytest.mark.parametrize("trouble", ["404", "403", "410"])
def test_a_server_that_says_no_is_not_asked_again(trouble, tmp_path, server):
    foreign(tmp_path / "a.tar", range(8))
    assert f"answers {trouble}" in refusal(f"{server}/troubled/1/{trouble}/a.tar")


def test_redirects_lead_to_https_alone(tmp_path, server):
    foreign(tmp_path / "a.tar", range(8))
    assert len(open_shards(f"{server}/to/{server}/a.tar", settings(3), 0, False)) == 8
    assert len(open_shards(f"{server}/to//a.tar", settings(3), 0, False)) == 8
    assert "only local files and https:// are read" in refusal(f"{server}/to/http://localhost/a.tar")
    assert "redirects: 'ftp://localhost/a.tar' is refused" in refusal(f"{server}/to/ftp://localhost/a.tar")
    for target in (f"file://{tmp_path}/a.tar", "pipe:ls/a.tar"):
        said = refusal(f"{server}/to/{target}")
        assert f"the server answers 302 Found - Redirection to url '{target}' is not allowed" in said
    assert "redirects: https://...@localhost holds a user name" in refusal(f"{server}/to/https://u:p@localhost/a.tar")
    assert "cannot be read (Invalid IPv6 URL)" in refusal(f"{server}/to///[x/list.txt")


def test_a_server_nobody_vouches_for_is_refused(tmp_path, server, monkeypatch):
    foreign(tmp_path / "a.tar", range(8))
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "certificate" in refusal(f"{server}/a.tar").lower()
    assert ssl.create_default_context().verify_mode == ssl.CERT_REQUIRED


def test_what_the_server_lacks_or_cuts_off_is_named(shards, tmp_path, server):
    foreign(tmp_path / "a.tar", range(8))
    assert "answers 404" in refusal(f"{server}/gone.tar")
    assert "a.tar: cannot be read (the server ended it early)" in refusal(f"{server}/short/9/a.tar")
    (shards / "shard-000001.tar").write_bytes((shards / "shard-000001.tar").read_bytes()[:-5000])
    pool = open_shards(f"{server}/shards/index.json", settings("auto"), 0, False)
    with pytest.raises(UserError, match=r"shard-000001\.tar: has .* bytes, its index says"):
        list(pool.batches(0, 11))


def test_small_files_are_bounded(tmp_path):
    (tmp_path / "big.txt").write_bytes(b"x" * 101)
    with pytest.raises(UserError, match="larger than the 100 bytes"):
        read_whole(str(tmp_path / "big.txt"), 100)
