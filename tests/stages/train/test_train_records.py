"""Records are checked before training: a shard that is not what records.json says is named, with the place."""

import json
import shutil
import struct

import pytest
import tiny_training
from _runtime import StageError
from google.protobuf import text_format
from object_detection.protos import pipeline_pb2

from stage_helpers import load

records = load("_training", "records")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tiny_training.write_records(tmp_path_factory.mktemp("records") / "whole")


@pytest.fixture
def folder(whole, tmp_path):
    """A copy to be damaged."""
    shutil.copytree(str(whole), str(tmp_path / "records"))
    return tmp_path / "records"


def listed(folder):
    return json.loads((folder / "records.json").read_text())


def test_whole_records_pass(folder):
    records.check_records(folder, listed(folder))


SHARD = "train.record-00001-of-00002"


def truncate(path, said):
    path.write_bytes(path.read_bytes()[:-5])


def truncate_and_say_so(path, said):
    truncate(path, said)
    said["bytes"] = path.stat().st_size


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


def second(path):
    """Where the second record begins."""
    return 16 + struct.unpack("<Q", path.read_bytes()[:8])[0]


def other_records(path, said):
    """The right number of whole records, of as many bytes, but in another order."""
    data = path.read_bytes()
    path.write_bytes(data[second(path) :] + data[: second(path)])


ENDS, OTHER = "a shard of the records ends within a record", "a shard of the records is not the one that records.json tells of"
COUNT, DATA = "a shard of the records has another number of records than records.json says", "a record's data is not what its checksum says"


@pytest.mark.parametrize(
    ("damage", "what", "where"),
    [
        (lambda path, said: path.unlink(), "a shard of the records is missing", SHARD),
        (truncate, "a shard of the records has another size than records.json says", SHARD),
        (truncate_and_say_so, ENDS, SHARD + ": byte "),
        (lambda path, said: path.write_bytes(b"\xff" * 8 + path.read_bytes()[8:]), ENDS, SHARD + ": byte 0"),
        (lambda path, said: said.update(records=2), COUNT, SHARD),
        (other_records, OTHER, SHARD),
        (lambda path, said: flip(path, 8), OTHER, SHARD),
        (lambda path, said: flip(path, -1), OTHER, SHARD),
        (lambda path, said: flip(path, 100), DATA, SHARD + ": record 1"),
        (lambda path, said: flip(path, second(path) + 100), DATA, SHARD + ": record 2"),
        (lambda path, said: flip(path, -5), DATA, SHARD + ": record 3"),
    ],
    ids=[
        "missing",
        "truncated",
        "ends in a record",
        "absurd length",
        "another count",
        "another order",
        "checksum of a length",
        "checksum of data",
        "data of the first",
        "data of the second",
        "last byte of data",
    ],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_damaged_shard_is_named(folder, damage, what, where, threads):
    said = listed(folder)
    damage(folder / SHARD, said["splits"]["train"]["shards"][1])
    with pytest.raises(StageError) as raised:
        records.check_records(folder, said, threads)
    assert raised.value.what == what
    assert where in raised.value.where


def test_records_of_another_schema_are_refused(folder):
    with pytest.raises(StageError, match="another schema"):
        records.check_records(folder, dict(listed(folder), schema=1))


def test_paths_in_the_config_become_those_of_the_records(folder):
    config = text_format.Parse(tiny_training.config_text(), pipeline_pb2.TrainEvalPipelineConfig())
    records.resolve_paths(config, folder)
    assert list(config.train_input_reader.tf_record_input_reader.input_path) == [str(folder / "train.record-?????-of-00002")]
    assert config.eval_input_reader[0].label_map_path == str(folder / "label_map.pbtxt")


def test_a_config_of_other_records_is_refused(folder):
    config = text_format.Parse(tiny_training.config_text().replace("of-00002", "of-00003"), pipeline_pb2.TrainEvalPipelineConfig())
    with pytest.raises(StageError, match="shards that the records do not have"):
        records.resolve_paths(config, folder)
