"""Artifact kinds: what is a valid artifact, and what is evidence."""

import json

import pytest

from edgemill.errors import RequestError, StageFailedError
from edgemill.kinds import FileRule, Kind, load_kinds
from edgemill.workspace import content_digest, list_files

KIND = Kind(
    "model",
    "For these tests.",
    (
        FileRule("model.bin", min_bytes=8, magic=(4, b"MINI")),
        FileRule("info.json", json=("schema", "words")),
        FileRule("part-*", optional=True, min_bytes=2),
        FileRule("deep/**", optional=True, min_bytes=1),
    ),
    ("notes.json", "log/**", "*.txt"),
)
GOOD = {"model.bin": b"0000MINI", "info.json": b'{"schema": 1, "words": [], "more": 2}'}


def write(folder, files):
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"part-1": b"ab", "part-2": b"cd"},
        {"deep/er/est": b"x"},
        {"anything/else": b""},
        {"deep-not": b""},
        {"inner/part-3": b""},
        {"inner/manifest.json": b"{}"},
    ],
)
def test_a_valid_artifact_passes(tmp_path, more):
    write(tmp_path, GOOD | more)
    KIND.validate(tmp_path, list_files(tmp_path))


@pytest.mark.parametrize(
    ("change", "place", "expected", "found"),
    [
        ({"model.bin": None}, "", "a file model.bin", "info.json"),
        ({"model.bin": b""}, "model.bin", "at least 8 bytes", "0 bytes"),
        ({"model.bin": b"0000MIN"}, "model.bin", "at least 8 bytes", "7 bytes"),
        ({"model.bin": b"MINI0000"}, "model.bin", "b'MINI' at byte 4", "b'0000'"),
        ({"info.json": b""}, "info.json", "JSON", "Expecting value"),
        ({"info.json": b'{"schema": 1,'}, "info.json", "JSON", "Expecting"),
        ({"info.json": b"\xff"}, "info.json", "JSON", "decode"),
        ({"info.json": b"[" * 100_000}, "info.json", "JSON", "deep"),
        ({"info.json": b"[1]"}, "info.json", "schema, words", "a JSON object"),
        ({"info.json": b'{"schema": 1}'}, "info.json", "schema, words", "words"),
        ({"part-1": b"ab", "part-2": b"c"}, "part-2", "at least 2 bytes", "1 bytes"),
        ({"deep/a": b"x", "deep/er/b": b""}, "deep/er/b", "at least 1 bytes", "0 bytes"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, place, expected, found):
    write(tmp_path, {name: content for name, content in (GOOD | change).items() if content is not None})
    with pytest.raises(StageFailedError, match="not a valid model") as raised:
        KIND.validate(tmp_path, list_files(tmp_path))
    assert raised.value.where == str(tmp_path / place)
    assert expected in raised.value.expected
    assert found in raised.value.found


def test_a_stage_does_not_write_the_manifest(tmp_path):
    write(tmp_path, GOOD | {"manifest.json": b"{}"})
    with pytest.raises(StageFailedError, match="that the build system writes") as raised:
        KIND.validate(tmp_path, list_files(tmp_path))
    assert raised.value.where == str(tmp_path / "manifest.json")


@pytest.mark.parametrize(
    ("path", "is_evidence"),
    [
        ("notes.json", True),
        ("inner/notes.json", False),
        ("notes.json.bak", False),
        ("notesXjson", False),
        ("log/a", True),
        ("log/a/b", True),
        ("logs/a", False),
        ("a.txt", True),
        ("inner/a.txt", False),
        ("a\nb.txt", True),
    ],
)
def test_evidence_is_kept_but_no_part_of_the_digest(path, is_evidence):
    assert KIND.is_evidence(path) is is_evidence
    files = [{"path": "model.bin", "sha256": "0" * 64, "bytes": 1}, {"path": path, "sha256": "1" * 64, "bytes": 1}]
    other = [files[0], {**files[1], "sha256": "2" * 64}]
    assert (content_digest(KIND, files) == content_digest(KIND, other)) is is_evidence


RULE = "schema: 1\nkinds:\n  k:\n    help: x\n    files:\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("schema: 1\n", "kinds"),
        ("schema: 1\nkinds: {k: {help: x}}\n", "files"),
        (RULE + "      - {paht: a}\n", "did you mean 'path'?"),
        (RULE + "      - {optional: true}\n", "something is missing"),
        (RULE + "      - {path: a, min_bytes: 0}\n", "minimum 1"),
        (RULE + "      - {path: a, magic: {offset: -1, ascii: A}}\n", "minimum 0"),
        (RULE + "      - {path: a, magic: MAGIC}\n", "wrong type"),
        (RULE + "      - {path: a, json: schema}\n", "wrong type"),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_line(tmp_path, text, says):
    path = tmp_path / "kinds.yaml"
    path.write_text(text)
    with pytest.raises(RequestError) as raised:
        load_kinds(path)
    assert says in str(raised.value)
    assert f"{path}:" in raised.value.where


def test_help_is_no_part_of_a_kinds_meaning_and_rules_are(mini):
    path = mini.stages / "kinds.yaml"
    before = {name: kind.meaning() for name, kind in load_kinds(path).items()}
    path.write_text(path.read_text().replace("Something with a magic number", "Another text").replace("ascii: MINI", "ascii: MAXI"))
    after = {name: kind.meaning() for name, kind in load_kinds(path).items()}
    assert [name for name in before if before[name] != after[name]] == ["model"]
    assert json.dumps(after)


def test_the_projects_own_kinds_load():
    for kind in load_kinds().values():
        assert kind.files
        assert not any(rule.path == "manifest.json" for rule in kind.files)
