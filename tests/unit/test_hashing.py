"""Digests, and the stat index: it reads what may have changed, and only that."""

import json
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemill import hashing
from edgemill.errors import RequestError
from edgemill.hashing import StatIndex, canonical, digest_files, digest_of, sha256_file, walk


@pytest.fixture
def source(tmp_path):
    """A folder of three files that were settled long ago."""
    folder = tmp_path / "source"
    (folder / "inner").mkdir(parents=True)
    for name in ("a", "b", "inner/c"):
        (folder / name).write_text(name)
    wait_for_clock(folder)
    return folder


def wait_for_clock(folder):
    """Wait until the files are old enough for their time stamps to be believed."""
    newest = max(path.stat().st_ctime_ns for path in [folder, *folder.rglob("*")])
    while time.time_ns() <= newest + hashing.TIMESTAMP_GRANULARITY_NS:
        time.sleep(0.01)


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that were read, in order."""
    names = []

    def counted(path):
        names.append(path.name)
        return sha256_file(path)

    monkeypatch.setattr(hashing, "sha256_file", counted)
    return names


def digest(tmp_path, source, **options):
    """The digest as a new command would find it."""
    return StatIndex(tmp_path / "index", **options).digest(source)


def test_what_has_not_changed_is_not_read_again(tmp_path, source, reads):
    first = digest(tmp_path, source)
    assert sorted(reads) == ["a", "b", "c"]
    reads.clear()
    assert digest(tmp_path, source) == first
    assert reads == []


def test_a_digest_is_made_once_in_a_command(tmp_path, source, reads):
    index = StatIndex(tmp_path / "index", verify=True)
    index.digest(source)
    index.digest(source)
    assert sorted(reads) == ["a", "b", "c"]


def test_verify_reads_every_byte_again(tmp_path, source, reads):
    digest(tmp_path, source)
    reads.clear()
    digest(tmp_path, source, verify=True)
    assert sorted(reads) == ["a", "b", "c"]


def replace_with_other_inode(path):
    status = path.stat()
    fresh = path.with_name("fresh")
    fresh.write_text("x")
    os.utime(fresh, ns=(status.st_atime_ns, status.st_mtime_ns))
    fresh.rename(path)


def change_and_restore_mtime(path):
    status = path.stat()
    path.write_text("x")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "other_digest"),
    [
        (lambda path: path.write_text("longer"), True),
        (lambda path: path.write_text("x"), True),
        (change_and_restore_mtime, True),
        (replace_with_other_inode, True),
        (os.utime, False),
        (lambda path: path.chmod(0o600), False),
    ],
    ids=["size", "mtime", "ctime alone", "inode", "touched", "mode"],
)
def test_a_file_is_read_again_when_size_time_or_inode_differ(tmp_path, source, reads, change, other_digest):
    first = digest(tmp_path, source)
    reads.clear()
    change(source / "a")
    assert (digest(tmp_path, source) != first) is other_digest
    assert reads == ["a"]


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "new").write_text("new"),
        lambda folder: (folder / "b").unlink(),
        lambda folder: (folder / "b").rename(folder / "B"),
        lambda folder: (folder / "b").rename(folder / "inner" / "b"),
        lambda folder: (folder / ".hidden").write_text(""),
    ],
    ids=["added", "removed", "renamed", "moved", "an empty one"],
)
def test_a_folder_counts_with_its_names(tmp_path, source, change):
    first = digest(tmp_path, source)
    change(source)
    assert digest(tmp_path, source) != first


def test_a_moved_or_copied_folder_has_the_same_digest(tmp_path, source):
    first = digest(tmp_path, source)
    moved = source.rename(tmp_path / "elsewhere")
    assert digest(tmp_path, moved) == first


def test_a_file_counts_with_its_content_alone(tmp_path, source):
    (source / "b").write_text("a")
    assert digest(tmp_path, source / "a") == digest(tmp_path, source / "b") == sha256_file(source / "a")


def test_a_file_that_was_just_written_is_not_believed(tmp_path, source, reads, monkeypatch):
    """Two changes within the clock's tick can leave the same time stamp."""
    (source / "a").write_text("1")
    written = (source / "a").stat().st_ctime_ns
    monkeypatch.setattr(time, "time_ns", lambda: written + 1)
    digest(tmp_path, source)
    reads.clear()
    monkeypatch.undo()
    wait_for_clock(source)
    monkeypatch.setattr(hashing, "sha256_file", lambda path: reads.append(path.name) or sha256_file(path))
    digest(tmp_path, source)
    assert "a" in reads
    reads.clear()
    digest(tmp_path, source)
    assert reads == []


def test_a_file_that_changes_while_it_is_read_is_not_believed(tmp_path, source, monkeypatch):
    """The change leaves the time stamp as it was: only the age before the first byte was read counts."""
    path = source / "a"
    path.write_text("1")
    written = path.stat().st_ctime_ns
    clock = [written + 1]
    monkeypatch.setattr(time, "time_ns", lambda: clock[0])

    def slow(file):
        found = sha256_file(file)
        clock[0] += 10**9
        return found

    monkeypatch.setattr(hashing, "sha256_file", slow)
    digest(tmp_path, path)
    (entry,) = json.loads(next((tmp_path / "index").glob("*.json")).read_text())["files"].values()
    assert entry[5] is False


def test_a_time_stamp_in_the_future_does_not_mean_reading_for_ever(tmp_path, source, reads):
    os.utime(source / "a", (4e9, 4e9))
    wait_for_clock(source)
    digest(tmp_path, source)
    reads.clear()
    digest(tmp_path, source)
    assert reads == []


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b"null", b'{"schema": 1}', b'{"schema": 1, "source": "SOURCE", "files": [1]}',
     b'{"schema": 1, "source": "SOURCE", "files": {"a": 1}}', b'{"schema": 1, "source": "SOURCE", "files": {"a": [1]}}'],
)  # fmt: skip
def test_a_damaged_index_costs_time_and_nothing_else(tmp_path, source, damage):
    first = digest(tmp_path, source)
    (index,) = (tmp_path / "index").iterdir()
    index.write_bytes(damage.replace(b"SOURCE", os.fsencode(source)))
    assert digest(tmp_path, source) == first


def test_an_index_that_cannot_be_written_costs_time_and_nothing_else(tmp_path, source):
    first = digest(tmp_path, source)
    (tmp_path / "no-folder").write_text("")
    assert StatIndex(tmp_path / "no-folder").digest(source) == first


def test_links_are_followed(tmp_path, source):
    (source / "link").symlink_to(source / "inner")
    assert "link/c" in [name for name, _, _ in walk(source)]


def make_loop(folder):
    (folder / "inner" / "loop").symlink_to(folder)


def make_fifo(folder):
    os.mkfifo(folder / "fifo")


def make_dangling(folder):
    (folder / "gone").symlink_to("nowhere")


@pytest.mark.parametrize(
    ("make", "says", "place"),
    [
        (make_loop, "leads back to a folder that contains it", "inner/loop"),
        (make_fifo, "neither a file nor a folder", "fifo"),
        (make_dangling, "No such file", "gone"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, source, make, says, place):
    make(source)
    with pytest.raises(RequestError, match=says) as raised:
        digest(tmp_path, source)
    assert raised.value.where == str(source / place)


@pytest.mark.parametrize(("name", "says"), [("gone", "no such file"), ("fifo", "neither a file nor a folder"), ("a/b", "cannot be read")])
def test_a_source_that_is_no_file_or_folder_is_named(tmp_path, source, name, says):
    make_fifo(source)
    with pytest.raises(RequestError, match=says) as raised:
        digest(tmp_path, source / name)
    assert raised.value.where == str(source / name)


def test_a_name_that_is_not_utf8_counts_with_its_bytes(tmp_path, source):
    first = digest(tmp_path, source)
    path = os.fsencode(source) + b"/caf\xe9"
    with open(path, "wb") as stream:
        stream.write(b"x")
    second = digest(tmp_path, source)
    assert digest(tmp_path, source) == second
    os.rename(path, os.fsencode(source) + b"/caf\xe8")
    assert len({first, second, digest(tmp_path, source)}) == 3


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=6)
FILES = st.dictionaries(NAMES, st.tuples(st.sampled_from(["0" * 64, "1" * 64]), st.integers(0, 20)), max_size=4)


@given(FILES, FILES)
def test_different_folders_have_different_digests(one, other):
    def of(files):
        return digest_files((name, *rest) for name, rest in files.items())

    assert (of(one) == of(other)) == (one == other)
    assert of(one) == of(dict(reversed(one.items())))


def test_a_name_cannot_pass_for_two_files():
    one, other = "0" * 64, "1" * 64
    assert digest_files([("a", one, 1), ("b", other, 1)]) != digest_files([(f"a\n{other} 1 b", one, 1)])


def test_a_value_has_one_json_text():
    assert canonical({"b": 1, "a": [True, None, "é"]}) == '{"a":[true,null,"é"],"b":1}'.encode()
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1, "b": "2"})
