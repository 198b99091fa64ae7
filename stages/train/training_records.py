"""Check the records before training, so that a truncated shard is found now and not an hour later."""

import struct

from _runtime import StageError

# A record: uint64 length, uint32 CRC of it, the data, uint32 CRC of the data (tensorflow/core/lib/io/record_writer.h).
_HEADER, _FOOTER = 12, 4


def check_records(folder, listed):
    """Compare the shards in `folder` with `listed` (the content of records.json); StageError names the shard and the byte.

    Only the records' lengths are read: what is inside has its own checksum, which TensorFlow compares when it reads it.
    """
    for split in sorted(listed["splits"]):
        for shard in listed["splits"][split]["shards"]:
            _check_shard(folder / shard["file"], shard)


def _check_shard(path, shard):
    remedy = "build the records again"
    if not path.is_file():
        raise StageError("a shard of the records is missing", path, shard["file"], "no such file", remedy)
    size = path.stat().st_size
    if size != shard["bytes"]:
        raise StageError(
            "a shard of the records has another size than records.json says", path, "%d bytes" % shard["bytes"], "%d bytes" % size, remedy
        )
    records, place = 0, 0
    with open(str(path), "rb") as stream:
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
                    remedy,
                )
            records, place = records + 1, end
            stream.seek(place)
    if records != shard["records"]:
        raise StageError(
            "a shard of the records has another number of records than records.json says", path, shard["records"], records, remedy
        )


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
