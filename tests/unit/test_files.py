"""Files that appear whole or not at all; permissions; removing."""

import json
import os
import stat

import pytest

from edgemill import files
from edgemill.files import link, remove, set_writable, write_bytes, write_json


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file"
    write_bytes(path, b"one")
    first = path.stat().st_ino
    write_bytes(path, b"other")
    assert path.read_bytes() == b"other"
    assert path.stat().st_ino != first
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_the_same_bytes_for_the_same_value(tmp_path):
    write_json(tmp_path / "a", {"b": "é", "a": [1.5, None]})
    write_json(tmp_path / "b", {"a": [1.5, None], "b": "é"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert "é" in (tmp_path / "a").read_text()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "c", float("nan"))


def test_json_of_a_name_that_is_not_utf8_can_be_read_back(tmp_path):
    write_json(tmp_path / "a", {"caf\udce9": 1})
    assert json.loads((tmp_path / "a").read_text()) == {"caf\udce9": 1}


def test_a_link_is_moved_in_one_step(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        link(tmp_path / "links" / "here", tmp_path / name)
        assert (tmp_path / "links" / "here").resolve() == tmp_path / name
    assert os.readlink(tmp_path / "links" / "here") == "../other"
    assert len(list((tmp_path / "links").iterdir())) == 1


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_write_permission_is_taken_and_given_back(tmp_path):
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    for path, bits in ((folder / "a", 0o666), (folder / "inner" / "b", 0o777)):
        path.write_text("")
        path.chmod(bits)
    outside = tmp_path / "outside"
    outside.write_text("")
    outside.chmod(0o640)
    (folder / "link").symlink_to(outside)
    (folder / "locked").mkdir(mode=0)
    set_writable(folder, writable=False)
    assert [mode(path) for path in (folder / "a", folder / "inner" / "b", outside)] == [0o444, 0o555, 0o640]
    assert not mode(folder) & 0o222
    set_writable(folder, writable=True)
    assert [mode(path) for path in (folder / "a", folder / "inner" / "b", outside)] == [0o644, 0o755, 0o640]
    assert all(mode(path) & 0o700 == 0o700 for path in (folder, folder / "inner", folder / "locked"))


def test_what_is_removed_is_gone_and_what_its_links_lead_to_stays(tmp_path):
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("")
    (folder / "inner" / "link").symlink_to(tmp_path / "kept")
    set_writable(folder, writable=False)
    remove(folder)
    assert not folder.exists()
    assert (tmp_path / "kept" / "file").exists()
    remove(folder)


@pytest.mark.parametrize("count", [3, files.MANY_FILES + 1])
def test_every_file_is_flushed_or_the_whole_system(tmp_path, monkeypatch, count):
    done = []
    monkeypatch.setattr(files.os, "fsync", lambda handle: done.append(os.readlink(f"/proc/self/fd/{handle}")))
    monkeypatch.setattr(files.os, "sync", lambda: done.append("everything"))
    for number in range(count):
        (tmp_path / str(number)).write_text("")
    files.flush_folder(tmp_path)
    assert done == ["everything"] if count > files.MANY_FILES else sorted(done) == sorted(map(str, [tmp_path, *tmp_path.iterdir()]))
