"""What an index may say. Each lie, and each path that leads elsewhere, is refused before anything is read or written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_bundle import FILES, KEY, SmallBundle

from edgemill.bundles.index import index_bytes, parse_index
from edgemill.bundles.names import collision, problem_of
from edgemill.errors import BundleError

SHA = "0" * 64
ARTIFACT = f"workspace/artifacts/read/{KEY}"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../outside",
        "a/../../outside",
        "a/./b",
        "a//b",
        "a/",
        "",
        ".",
        "..",
        "a\\..\\b",
        "a\nb",
        "a\x00b",
        "a\x7fb",
        "\x1b[2J",
        "\udcff",
        "x" * 256,
        "/".join(["x" * 200] * 6),
        "/".join("x" * 65),
        ".git/hooks/post-checkout",
        ".GIT/config",
        ".venv/bin/python",
        ".Venv/bin/python",
        ".envs/docker/train.json",
        ".envs/wheels/../x.whl",
        ".envs/wheels/sub/x.whl",
        ".envs/wheels/x.txt",
        ".envs/wheels/offline",
        "workspace/pipelines/demo/read",
        "workspace/artifacts/read/short/x",
        "workspace/artifacts/../../x",
        "bundled/bundle.json",
        "bundled/data/../bundle.json",
        "bundled/pythons",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path):
    assert problem_of(path) is not None


@pytest.mark.parametrize(
    "path", [*FILES, "a b/ü.txt", "..a/b..", "x" * 255, "edgemill/workspace/x", "bundled/sbom/train.cdx.json", ".envs/wheels/x-1.tar.gz"]
)
def test_a_path_of_the_project_or_of_a_room_is_taken(path):
    assert problem_of(path) is None


@given(st.text())
def test_no_accepted_path_leaves_its_folder(path):
    if problem_of(path) is None:
        assert not path.startswith("/")
        assert ".." not in path.split("/")
        assert "\0" not in path


@pytest.mark.parametrize(
    "paths",
    [
        ["a", "a"],
        ["a", "A"],
        ["docs/x", "Docs/y"],
        ["a", "a/b"],
        ["a/b", "a"],
        ["a/b/c", "a/B"],
        ["\u00e9", "e\u0301"],
        ["straße", "STRASSE"],
        ["x/one", "y", "X/two"],
    ],
)
def test_paths_that_are_one_on_some_file_system_are_found(paths):
    assert collision(paths) is not None


@pytest.mark.parametrize("paths", [[], ["a"], ["a", "b"], ["a/x", "a/y", "b/x"], ["a/b/c", "a/b/d", "a/e"], ["ab", "a/b"]])
def test_paths_that_lie_beside_each_other_are_taken(paths):
    assert collision(paths) is None


def change(place, value):
    """A change of one value: `place` is a path of keys and numbers."""

    def make(document):
        *way, last = place
        for step in way:
            document = document[step]
        document[last] = value

    return make


def drop(place):
    def make(document):
        *way, last = place
        for step in way:
            document = document[step]
        del document[last]

    return make


def append(place, value):
    def make(document):
        document[place].append(value(document) if callable(value) else value)

    return make


LIES = {
    "another format": change(["format"], "tarball"),
    "another schema": change(["schema"], 2),
    "a schema that equals 1": change(["schema"], True),
    "no files": drop(["files"]),
    "an unknown key": change(["more"], 1),
    "no project": change(["project"], None),
    "a revision that is none": change(["project", "revision"], "HEAD"),
    "a version that steers": change(["project", "version"], "0.1\x1b[2J"),
    "dirty as a number": change(["project", "dirty"], 0),
    "an architecture that is none": change(["architecture"], "../x86"),
    "files that are no list": change(["files"], {}),
    "a file that is no object": append("files", "mill"),
    "a path that is a number": change(["files", 0, "path"], 3),
    "a path outside": change(["files", 0, "path"], "../mill"),
    "a path in .git": change(["files", 0, "path"], ".git/config"),
    "a sha256 in capitals": change(["files", 0, "sha256"], "A" * 64),
    "a sha256 with an end of line": change(["files", 0, "sha256"], "0" * 64 + "\n"),
    "a negative size": change(["files", 0, "size"], -1),
    "a size that is no whole number": change(["files", 0, "size"], 1.5),
    "a size that is true": change(["files", 0, "size"], True),
    "an endless size": change(["files", 0, "size"], 1 << 60),
    "a size unlike its content's": change(["files", 0, "size"], 999),
    "executable as a text": change(["files", 0, "executable"], "yes"),
    "a file twice": append("files", lambda document: document["files"][0]),
    "a file in other letters": append("files", lambda document: {**document["files"][-3], "path": "DOCS/a page.md"}),
    "a file whose content is missing": append("files", {"path": "more", "sha256": SHA, "size": 1, "executable": False}),
    "content that nothing uses": lambda document: document["blobs"].insert(0, {"sha256": SHA, "size": 1}),
    "content twice": lambda document: document["blobs"].insert(0, document["blobs"][0]),
    "contents in no order": lambda document: document["blobs"].reverse(),
    "a size unlike its file's": change(["blobs", 0, "size"], 999),
    "a member with a path": change(["members", 0, "path"], "../install.pyz"),
    "a member that is an index": change(["members", 0, "path"], "bundle.json"),
    "no program": drop(["members", 0]),
    "a member twice": append("members", lambda document: document["members"][0]),
    "members in another order": lambda document: document["members"].reverse(),
    "an image with another name": change(["images", 0, "name"], "Train"),
    "an image twice": append("images", lambda document: document["images"][0]),
    "an image whose ID is a tag": change(["images", 0, "id"], "edgemill/train:latest"),
    "an image with another record": change(["images", 0, "record", "id"], f"sha256:{SHA}"),
    "a record that is deep": change(["images", 0, "record", "more"], {"a": {"b": 1}}),
    "a record that is a list": change(["images", 0, "record"], []),
    "an image without its manifest": change(["images", 0, "manifest"], SHA),
    "an image without its config": change(["images", 0, "config"], SHA),
    "an image with a layer twice": lambda document: document["images"][0]["blobs"].append(document["images"][0]["blobs"][0]),
    "data outside its room": change(["data", 0, "place"], "workspace/artifacts"),
    "data that is not there": append("data", {"path": "../coins", "place": "bundled/data/coins"}),
    "data of no pipeline": change(["data"], []),
    "a link out of the workspace": change(["links", 0, "stage"], "../../.."),
    "a link's step that is a path": change(["links", 0, "step"], "a/b"),
    "a link to nothing": change(["links", 0, "key"], SHA),
    "a link twice": append("links", lambda document: document["links"][0]),
    "a pipeline that is a path": change(["pipelines"], ["../demo"]),
    "a pipeline twice": change(["pipelines"], ["demo", "demo"]),
    "a Python that is a program": change(["pythons"], ["3.11; rm -r"]),
    "a base that is a name": change(["base"], "the other one"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_an_index_that_is_not_as_it_must_be_is_refused(lie):
    document = SmallBundle(images=["train"]).document()
    assert parse_index(index_bytes(document), "here").revision
    lie(document)
    with pytest.raises(BundleError) as refused:
        parse_index(json.dumps(document).encode(), "here")
    assert "here" in refused.value.where


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"[]",
        b"null",
        b"\xff\xfe{}",
        b'{"format": "edgemill-bundle", "schema": 1, "schema": 1}',
        b'{"a": NaN}',
        b"[" * 100_000,
        b'{"format": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_trustworthy_json_is_refused(content):
    with pytest.raises(BundleError):
        parse_index(content, "here")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


def places(value, way=()):
    """The way to every value of a document."""
    yield way
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*way, key))


@given(st.data())
def test_whatever_stands_in_an_index_is_taken_or_refused_and_nothing_else(data):
    document = SmallBundle(images=["train"]).document()
    for _ in range(data.draw(st.integers(1, 3))):
        way = data.draw(st.sampled_from([way for way in places(document) if way]))
        change(way, data.draw(JSON))(document)
    try:
        index = parse_index(json.dumps(document).encode(), "here")
    except BundleError:
        return
    for file in index.files:
        assert problem_of(file.path) is None
    assert index.wanted().keys() <= {blob.sha256 for blob in index.blobs} or index.base is not None


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_message(content):
    with pytest.raises(BundleError):
        parse_index(content, "here")
