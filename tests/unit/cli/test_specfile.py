"""A spec file is read as its format says, or refused with its name and the place in it."""

import io

import pytest

from libs.cli import specfile
from libs.cli.errors import GENERIC, VALIDATION, CommandFailed


@pytest.fixture
def spec_file(tmp_path):
    def write(name, content):
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return write


READ = [
    pytest.param("a.yaml", "name: x\nports: [80]\n", {"name": "x", "ports": [80]}, id="YAML"),
    pytest.param("a.yml", "name: x\n", {"name": "x"}, id="YAML by its short ending"),
    pytest.param("a.JSON", '{"name": "x"}', {"name": "x"}, id="JSON, whatever the case of its ending"),
    pytest.param(
        "a.jsonc",
        '{\n  // which\n  "name": "http://x", /* and\n where */ "ports": [80,],\n}\n',
        {"name": "http://x", "ports": [80]},
        id="JSON with comments and a comma at the end",
    ),
    pytest.param(
        "a.toml",
        'name = "x"\n[resources]\nports = [80]\n',
        {"name": "x", "resources": {"ports": [80]}},
        id="TOML",
    ),
    pytest.param(
        "a.json", '{"$schema": "x", "name": "x"}', {"name": "x"}, id="without its top-level $schema"
    ),
    pytest.param("a.yaml", b"\xef\xbb\xbfname: x\n", {"name": "x"}, id="a byte order mark is no content"),
    pytest.param("a.yaml", "a: &a [1]\nb: *a\n", {"a": [1], "b": [1]}, id="an alias stands for its node"),
    pytest.param(
        "a.yaml",
        "a: &a {x: 1, y: 1}\nb: {<<: *a, y: 2}\n",
        {"a": {"x": 1, "y": 1}, "b": {"x": 1, "y": 2}},
        id="a merge yields to the keys that stand there",
    ),
    pytest.param(
        "a.yaml",
        "o: {i: &b {<<: {x: 1}, x: 2}}\nc: {<<: *b}\n",
        {"o": {"i": {"x": 2}}, "c": {"x": 2}},
        id="a merge of a merge is no key that stands twice",
    ),
]


def from_standard_input(monkeypatch, content):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    return specfile.load(specfile.STANDARD_INPUT)


@pytest.mark.parametrize("content", [b"name: x\nports: [80]\n", b'{"name": "x", "ports": [80]}'])
def test_reads_standard_input_as_yaml(monkeypatch, content):
    assert from_standard_input(monkeypatch, content) == {"name": "x", "ports": [80]}


@pytest.mark.parametrize(("content", "problem"), [(b"", "not nothing"), (b"\xff", "not UTF-8")])
def test_standard_input_that_is_no_spec_is_refused_by_that_name(monkeypatch, content, problem):
    with pytest.raises(CommandFailed) as refused:
        from_standard_input(monkeypatch, content)
    assert "the standard input" in str(refused.value)
    assert problem in str(refused.value)


@pytest.mark.parametrize(("name", "content", "expected"), READ)
def test_reads(spec_file, name, content, expected):
    assert specfile.load(spec_file(name, content)) == expected


REFUSED = [
    pytest.param("a.yaml", "", "not nothing", id="an empty file"),
    pytest.param("a.json", "[1]", "not a list", id="a list"),
    pytest.param("a.yaml", "hello", "not text", id="text"),
    pytest.param("a.yaml", "a: [", "line 1", id="broken YAML, with its line"),
    pytest.param("a.yaml", "a: 1\n---\nb: 1\n", "single document", id="two documents"),
    pytest.param("a.yaml", "a: 1\nb: 2\na: 3\n", "'a' stands twice", id="a key twice in YAML"),
    pytest.param("a.yaml", "x: [{a: 1, a: 2}]", "'a' stands twice", id="a key twice in depth"),
    pytest.param("a.json", '{"x": {"a": 1, "a": 2}}', "'a' stands twice", id="a key twice in JSON"),
    pytest.param(
        "a.jsonc", '{"x": {"a": 1, "a": 2}}', "'a' stands twice", id="a key twice in JSON with comments"
    ),
    pytest.param("a.jsonc", '{"a": 1', "end of input", id="JSON with comments that ends too early"),
    pytest.param("a.jsonc", '{"a": Infinity}', "a: inf", id="infinity in JSON with comments"),
    pytest.param(
        "a.jsonc", '{"a":' * 1000 + "1" + "}" * 1000, "too many levels", id="deep JSON with comments"
    ),
    pytest.param("a.toml", "a = 1\na = 2\n", "line 2", id="a key twice in TOML"),
    pytest.param("a.yaml", "env: [{value: .nan}]", "env[0].value: nan", id="NaN in YAML"),
    pytest.param("a.json", '{"a": NaN}', "a: nan", id="NaN in JSON"),
    pytest.param("a.toml", "a = -inf", "a: -inf", id="infinity in TOML"),
    pytest.param(
        "a.yaml", "a: {b: 2026-01-31}", "a.b: 2026-01-31 is a date; put it in quotes", id="a date in YAML"
    ),
    pytest.param("a.toml", "a = 12:00:00", "is a time", id="a time in TOML"),
    pytest.param("a.yaml", "a: !!binary aGk=", "is a bytes", id="bytes"),
    pytest.param(
        "a.yaml", "env: {1: x}", "env: the key 1 is a number; put it in quotes", id="a key that is a number"
    ),
    pytest.param("a.yaml", "? [a]\n: x", "unhashable key", id="a key that is a list"),
    pytest.param(
        "a.yaml", "a: !!python/object:os.system x", "could not determine a constructor", id="a tag of Python"
    ),
    pytest.param("a.yaml", "a: &a [*a]", "levels", id="a list that holds itself"),
    pytest.param("a.json", '{"a":' * 100_000, "levels", id="deeper than Python reads JSON"),
    pytest.param("a.yaml", "[" * 2_000, "levels", id="deeper than Python reads YAML"),
    pytest.param(
        "a.yaml",
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)),
        "unfolds to more than",
        id="aliases of aliases",
    ),
    pytest.param(
        "a.yaml",
        "a0: &a0 {x: 1}\n"
        + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 9)),
        "`<<` unfolds to more than",
        id="merges of merges",
    ),
    pytest.param("a.yaml", "&a {<<: [*a, *a], 1: 2}", "the key 1 is a number", id="a merge of itself"),
    pytest.param("a.json", '{"a": "\\ud800"}', "surrogate", id="half a surrogate pair"),
    pytest.param("a.yaml", "a: 0x" + "f" * 5_000, "bits", id="a number beyond reason"),
    pytest.param("a.md", "# x", "not `.md`", id="another ending"),
    pytest.param("a", "name: x", "without an ending", id="no ending"),
]


@pytest.mark.parametrize(("name", "content", "complaint"), REFUSED)
def test_refuses_with_the_name_of_the_file(spec_file, name, content, complaint):
    file = spec_file(name, content)
    with pytest.raises(CommandFailed) as refused:
        specfile.load(file)
    assert str(file) in refused.value.lines[0]
    assert complaint in str(refused.value)
    assert refused.value.status == VALIDATION


def test_refuses_what_is_not_utf8(spec_file):
    with pytest.raises(CommandFailed, match="is not UTF-8"):
        specfile.load(spec_file("a.yaml", b"\xff"))


@pytest.mark.parametrize(
    "name", [pytest.param("none.yaml", id="a missing file"), pytest.param(".", id="a folder")]
)
def test_says_why_a_file_cannot_be_read(tmp_path, name):
    with pytest.raises(CommandFailed, match="cannot read") as refused:
        specfile.load(tmp_path / name)
    assert refused.value.status == GENERIC
