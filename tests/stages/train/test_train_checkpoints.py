"""Which checkpoint a resumed training trusts: the newest one that is whole, whatever happened to the files."""

import json

import pytest

from stage_helpers import load

checkpoints = load("_training", "checkpoints")


def write(folder, step, state=None):
    """A sealed checkpoint with made-up content."""
    (folder.path / ("model.ckpt-%d.index" % step)).write_bytes(b"index %d" % step * 30)
    (folder.path / ("model.ckpt-%d.data-00000-of-00001" % step)).write_bytes(b"weights %d" % step * 300)
    folder.seal(step, state or {"step": step})


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of the steps 100, 200 and 300."""
    made = checkpoints.CheckpointFolder(tmp_path / "checkpoints")
    for step in (100, 200, 300):
        write(made, step)
    return made


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


INDEX, DATA, SEAL = "model.ckpt-300.index", "model.ckpt-300.data-00000-of-00001", "model.ckpt-300.seal.json"


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        (DATA, cut, "has 3299 bytes instead of 3300"),
        (DATA, lambda path: path.write_bytes(b""), "has 0 bytes"),
        (DATA, lambda path: flip(path, 0), "has changed"),
        (DATA, lambda path: flip(path, 3299), "has changed"),
        (DATA, lambda path: path.unlink(), "is missing"),
        (INDEX, cut, "bytes instead of"),
        (INDEX, lambda path: flip(path, 17), "has changed"),
        (INDEX, lambda path: path.unlink(), "is missing"),
        (SEAL, lambda path: path.unlink(), "was not finished"),
        (SEAL, lambda path: path.write_bytes(b""), "seal is damaged"),
        (SEAL, lambda path: path.write_text("[1, 2]"), "seal is damaged"),
        (SEAL, lambda path: path.write_text('{"files": {}, "state": {}}'), "seal is damaged"),
        (
            SEAL,
            lambda path: path.write_bytes(path.read_bytes().replace(b"model.ckpt-300.index", b"model.ckpt-300.jndex")),
            "seal is damaged",
        ),
    ],
    ids=str,
)
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(folder, name, damage, reason):
    damage(folder.path / name)
    sealed, rejected = folder.newest()
    assert (sealed.step, sealed.state) == (200, {"step": 200})
    assert [entry.step for entry in rejected] == [300]
    assert reason in rejected[0].reason


def test_the_newest_whole_checkpoint_is_used_with_what_was_known_then(folder):
    sealed, rejected = folder.newest()
    assert (sealed.step, sealed.prefix, sealed.state, rejected) == (300, str(folder.path / "model.ckpt-300"), {"step": 300}, [])


def test_several_damaged_ones_are_passed_over(folder):
    cut(folder.path / DATA)
    (folder.path / "model.ckpt-200.index").unlink()
    sealed, rejected = folder.newest()
    assert (sealed.step, [entry.step for entry in rejected]) == (100, [300, 200])


def test_none_is_whole(folder):
    for step in (100, 200, 300):
        (folder.path / ("model.ckpt-%d.seal.json" % step)).unlink()
    sealed, rejected = folder.newest()
    assert (sealed, [entry.step for entry in rejected]) == (None, [300, 200, 100])


def test_an_empty_folder_has_none(tmp_path):
    assert checkpoints.CheckpointFolder(tmp_path / "new").newest() == (None, [])


@pytest.mark.parametrize(
    "leftover", ["checkpoint", "model.ckpt-300.data-00000-of-00001.tempstate123", ".model.ckpt-400.seal.json.x1", "graph.pbtxt"]
)
def test_what_tensorflow_or_a_kill_left_does_not_matter(folder, leftover):
    (folder.path / leftover).write_bytes(b'model_checkpoint_path: "nonsense')
    assert folder.newest()[0].step == 300


def test_files_without_a_seal_are_a_checkpoint_that_was_not_finished(folder):
    (folder.path / "model.ckpt-400.data-00000-of-00001").write_bytes(b"half")
    sealed, rejected = folder.newest()
    assert (sealed.step, rejected) == (300, [(400, "it was not finished")])


def test_removing_leaves_nothing_of_the_step(folder):
    (folder.path / "model.ckpt-300.data-00000-of-00001.tempstate9").write_bytes(b"x")
    folder.remove(300)
    assert not [path.name for path in folder.path.iterdir() if "ckpt-300" in path.name]
    assert folder.steps() == [200, 100]


@pytest.mark.parametrize(
    ("keep", "also", "left"), [(2, (), [300, 200]), (2, (100,), [300, 200, 100]), (1, (200,), [300, 200]), (5, (), [300, 200, 100])]
)
def test_pruning_keeps_the_newest_and_those_asked_for(folder, keep, also, left):
    folder.prune(keep, also)
    assert folder.steps() == left
    assert all(folder.whole(step) for step in left)


def test_sealing_again_replaces_what_is_known(folder):
    folder.seal(300, {"evaluated": True})
    assert folder.newest()[0].state == {"evaluated": True}
    assert set(json.loads((folder.path / SEAL).read_text())["files"]) == {INDEX, DATA}


def test_what_a_kill_left_of_a_checkpoint_that_was_being_written_is_removed(folder):
    half = folder.path / "model.ckpt-400_temp"
    half.mkdir()
    (half / "part-00000-of-00001.index").write_bytes(b"half")
    again = checkpoints.CheckpointFolder(folder.path)
    assert not half.exists()
    assert again.newest()[0].step == 300
