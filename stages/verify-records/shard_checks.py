"""What the files' names and the index beside them (records.json) say, against what is there. Checks yield (level, code, file, message)."""

import hashlib
import json
import os

from record_image import ERROR, WARNING

from _detection.tfrecord_reader import FOOTER, HEADER, shard_of, spans

INDEX = "records.json"
_MOST_MISSING = 10  # shards named one by one
_BLOCK = 1 << 20


def check_names(names):
    """Whether all shards of each family are there. names: of files, relative to the folder."""
    families = {}
    for name in names:
        shard = shard_of(name)
        if shard is not None and shard.number is not None:
            families.setdefault(shard.family, {}).setdefault(shard.shards, {})[shard.number] = name
    for totals in families.values():
        if len(totals) > 1:
            told = ", ".join("%d of -of-%05d" % (len(numbers), shards) for shards, numbers in sorted(totals.items()))
            yield ERROR, "shards-differ", min(totals[min(totals)].values()), "shards of several writings are mixed: %s" % told
        for shards, numbers in sorted(totals.items()):
            yield from _check_numbers(shards, numbers)


def _check_numbers(shards, numbers):
    first = min(numbers.values())
    for number, name in sorted(numbers.items()):
        if number >= shards:
            yield ERROR, "shard-number", name, "its number %d is not below %d" % (number, shards)
    missing = shards - sum(number < shards for number in numbers)
    if missing:
        shown = [number for number in range(min(shards, len(numbers) + _MOST_MISSING + 1)) if number not in numbers][:_MOST_MISSING]
        listed = ", ".join("%05d" % number for number in shown) + (", …" if missing > len(shown) else "")
        yield ERROR, "shard-missing", first, "%d of %d shards are not there: %s" % (missing, shards, listed)


def read_index(folder):
    """({file: its entry}, problems) of records.json; (None, []) where there is none."""
    path = folder / INDEX
    if not path.is_file():
        return None, []
    try:
        splits = json.loads(path.read_bytes())["splits"]
        entries = {shard["file"]: shard for split in splits.values() for shard in split["shards"]}
        whole = all(isinstance(name, str) and isinstance(entry["records"] + entry["bytes"], int) for name, entry in entries.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        whole, entries = False, "%s: %s" % (type(error).__name__, error)
    if not whole:
        return None, [(WARNING, "index-unreadable", INDEX, "it cannot be read as an index of records (%s)" % entries)]
    return entries, []


def check_index(entries, found, folder):
    """entries: of `read_index`; found: {file: (records, or None where the file is damaged; bytes)}."""
    for name in sorted(entries.keys() - found.keys()):
        if not (folder / name).is_file():
            yield ERROR, "index-file-missing", INDEX, "it names %s, which is not there" % name
    for name, (records, size) in found.items():
        entry = entries.get(name)
        if entry is None:
            yield ERROR, "index-unlisted", name, "%s does not name this file" % INDEX
            continue
        if entry["bytes"] != size:
            yield ERROR, "index-bytes", name, "%s says %d bytes, the file has %d" % (INDEX, entry["bytes"], size)
        elif records is not None and entry["records"] != records:
            yield ERROR, "index-records", name, "%s says %d records, the file has %d" % (INDEX, entry["records"], records)


def check_sum(job):
    """The problems of one file's checksum in the index. job: (path, file, entry)."""
    path, name, entry = job
    digest = hashlib.sha256()
    if "frames" in entry:
        kind, parts = "frames", frames(path)
    else:
        kind, parts = "sha256", _blocks(path)
    for part in parts:
        digest.update(part)
    if entry.get(kind) in (None, digest.hexdigest()):
        return []
    message = "%s says %s %s…, the file has %s…: it has changed" % (INDEX, kind, str(entry[kind])[:12], digest.hexdigest()[:12])
    return [(ERROR, "index-checksum", name, message)]


def frames(path):
    """What stands around each record's data: length and checksums, 16 bytes."""
    with open(path, "rb", buffering=0) as stream:
        for span in spans(path):
            if span.length is not None:
                end = span.offset + HEADER + span.length
                yield os.pread(stream.fileno(), HEADER, span.offset) + os.pread(stream.fileno(), FOOTER, end)


def _blocks(path):
    with open(path, "rb") as stream:
        yield from iter(lambda: stream.read(_BLOCK), b"")
