"""Check the records before training, so that a shard that is cut or altered is found now and not an hour later."""

import hashlib
import struct
from concurrent.futures import ThreadPoolExecutor

import tensorflow.compat.v1 as tf

from _runtime import StageError

# A record: uint64 length, uint32 CRC of it, the data, uint32 CRC of the data (tensorflow/core/lib/io/record_writer.h).
_HEADER, _FOOTER = 12, 4
_REMEDY = "build the records again"


def check_records(folder, listed, threads=1):
    """Compare the shards in `folder` with `listed` (the content of records.json); StageError names the shard and the byte.

    All bytes are read: the data's checksums, which TensorFlow would compare only once it comes to a record, are compared with the data,
    and their sha256 with that of records.json. TensorFlow's own reader does it, with some 2 GB/s and thread.
    """
    if listed.get("schema") != 2:
        raise StageError("the records have another schema", folder / "records.json", 2, listed.get("schema"), _REMEDY)
    shards = [shard for split in sorted(listed["splits"]) for shard in listed["splits"][split]["shards"]]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for _ in pool.map(lambda shard: _check_shard(folder / shard["file"], shard), shards):
            pass


def _check_shard(path, shard):
    if not path.is_file():
        raise StageError("a shard of the records is missing", path, shard["file"], "no such file", _REMEDY)
    size = path.stat().st_size
    if size != shard["bytes"]:
        raise StageError(
            "a shard of the records has another size than records.json says", path, "%d bytes" % shard["bytes"], "%d bytes" % size, _REMEDY
        )
    records, frames = _walk(path, size)
    if records != shard["records"]:
        raise StageError(
            "a shard of the records has another number of records than records.json says", path, shard["records"], records, _REMEDY
        )
    if frames != shard["frames"]:
        raise StageError(
            "a shard of the records is not the one that records.json tells of",
            path,
            "lengths and checksums of its records with the sha256 %s" % shard["frames"],
            frames,
            _REMEDY,
        )
    _check_data(path)


def _walk(path, size):
    """How many records a file of `size` bytes has, and the sha256 of their headers and footers in turn."""
    records, place, digest = 0, 0, hashlib.sha256()
    with open(str(path), "rb", buffering=0) as stream:
        while place < size:
            header = stream.read(_HEADER)
            length = struct.unpack("<Q", header[:8])[0] if len(header) == _HEADER else size
            end = place + _HEADER + length + _FOOTER
            if end > size:
                raise StageError(
                    "a shard of the records ends within a record",
                    "%s: byte %d" % (path, place),
                    "a record of at most %d bytes" % (size - place),
                    "one of %d bytes" % length,
                    _REMEDY,
                )
            stream.seek(end - _FOOTER)
            digest.update(header + stream.read(_FOOTER))
            records, place = records + 1, end
    return records, digest.hexdigest()


def _check_data(path):
    number = 0
    try:
        for _ in tf.python_io.tf_record_iterator(str(path)):
            number += 1
    except tf.errors.DataLossError as error:
        raise StageError(
            "a record's data is not what its checksum says",
            "%s: record %d" % (path, number + 1),
            "data as it was written",
            error.message,
            _REMEDY,
        ) from None


def resolve_paths(config, folder):
    """Make the input paths of a configured pipeline.config (names inside the records artifact) absolute, in place."""
    for reader in [config.train_input_reader, *config.eval_input_reader]:
        paths = [str(folder / name) for name in reader.tf_record_input_reader.input_path]
        reader.tf_record_input_reader.input_path[:] = paths
        reader.label_map_path = str(folder / reader.label_map_path)
        for path in paths:
            if not sorted(folder.glob(path.rsplit("/", 1)[-1])):
                raise StageError(
                    "the config names shards that the records do not have",
                    "pipeline.config: input_path",
                    path,
                    "no such file",
                    "run configure on these records",
                )
