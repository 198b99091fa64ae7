"""Detections as TFRecords: a split's records with what a model found in each, in shards that are written independently of each other.

A record is the image's own tf.Example with all its features, and the Object Detection API's names of detections (TfExampleFields in
core/standard_fields.py of the wheel tf-object-detection 0.0.3), so that its offline evaluation reads them, too:

    image/detection/bbox/ymin, xmin, ymax, xmax   float, 1.0 being the image's side; as the model gave them, not clipped
    image/detection/label                         int64, the label map's id, from 1
    image/detection/score                         float, 0..1

and two of EdgeMill's: image/detection/mask, a PNG for each detection as in image/object/mask, where the model has masks; and
image/detection/input_sha256, of the model's uint8 input, where a model of the pipeline ran. image/encoded is left out unless the pixels
are asked for. inference.json (`INDEX`) names the shards in their order. Python 3.7 and newer.
"""

import hashlib
import json
from itertools import islice
from pathlib import Path
from typing import Any, List, NamedTuple, Optional

import numpy as np
from google.protobuf.message import DecodeError

from _detection.example_message import Example
from _detection.postprocess import Detections
from _detection.tfrecord import example_start, frame, text
from _detection.tfrecord_reader import payloads, spans
from _runtime import StageError, atomic_write

SCHEMA = 2
INDEX = "inference.json"
PIXELS = "image/encoded"
_FOUND = "image/detection/"
_CORNERS = ("ymin", "xmin", "ymax", "xmax")
_IMAGES_A_SHARD, _MOST_SHARDS = 50, 64  # where nobody says how many


class Share(NamedTuple):
    """A shard that is to be written. file: its name; parts: (name of a shard of the records, first record from 0, records), in order."""

    file: str
    parts: tuple
    records: int


class Found(NamedTuple):
    """What a model found in an image.

    image_id: the dataset's; sha256: of the image's file; input_sha256: of the model's input, or None; width, height: pixels;
    detections: `postprocess.Detections`; masks: a list of PNG bytes as long, or None; where: file and record, for messages.
    """

    image_id: int
    sha256: str
    input_sha256: Optional[str]
    width: int
    height: int
    detections: Any
    masks: Optional[List[bytes]]
    where: str


def share_plan(index, split, shards):
    """The `Share`s of a split, which hold all its records in their order, about as many each.

    index: the value of records.json; shards: how many, or 0: no fewer than the records have, and one for each 50 images, up to 64.
    Raises StageError where the records have no such split, or nothing in it.
    """
    if split not in index["splits"]:
        raise StageError(
            "the records have no split %s" % split,
            "records.json",
            "one of %s" % ", ".join(sorted(index["splits"])),
            split,
            "set `split` to one of these",
        )
    sources = index["splits"][split]["shards"]
    total = sum(source["records"] for source in sources)
    if not total:
        raise StageError("the split has no images", "split %s" % split, "one image or more", 0, "choose another split")
    number = min(total, shards or max(len(sources), min(_MOST_SHARDS, -(-total // _IMAGES_A_SHARD))))
    waiting = [(source["file"], 0, source["records"]) for source in sources]
    shares = []
    for place in range(number):
        wanted = total // number + (place < total % number)
        shares.append(Share("%s.detections-%05d-of-%05d" % (split, place, number), tuple(_take(waiting, wanted)), wanted))
    return shares


def _take(waiting, wanted):
    """The first `wanted` records of the ranges in `waiting`, which is shortened by them."""
    while wanted:
        file, first, records = waiting.pop(0)
        taken = min(wanted, records)
        if taken:
            yield file, first, taken
        if taken < records:
            waiting.insert(0, (file, first + taken, records - taken))
        wanted -= taken


def share_examples(folder, share):
    """(where, tf.Example) of each record of a `Share`. folder: of the records. Raises StageError where a record is missing or damaged."""
    for file, first, records in share.parts:
        yield from chosen_examples(Path(str(folder)) / file, range(first, first + records))


def chosen_examples(path, places):
    """(where, tf.Example) of the records of a file that stand at `places`, numbers from 0 that rise. Raises StageError as above."""
    whole, end = _whole_spans(path, places[-1] + 1)
    if len(whole) <= places[-1]:
        where = "%s, record %d" % (path, len(whole) + 1)
        raise StageError("a file of the records is damaged", where, "%d records or more" % (places[-1] + 1), end, "build the records again")
    for span, data, damage in payloads(path, [whole[place] for place in places]):
        where = "%s, record %d" % (path, span.number)
        if data is None or damage is not None:
            raise StageError("a record is damaged", where, "a whole record", damage.message, "build the records again")
        yield where, _parsed(data, where, "build the records again")


def _whole_spans(path, most=None):
    """(the spans of a file's records up to where it is damaged, what is there in words). most: of them that are looked at."""
    if not path.is_file():
        return [], "no such file"
    found = list(islice(spans(path), most))
    if found and found[-1].length is None:
        return found[:-1], found[-1].damage.message
    return found, "the end of the file"


def _parsed(data, where, remedy):
    try:
        return Example.FromString(data)
    except DecodeError:
        raise StageError("a record is no tf.Example", where, "a tf.Example", "%d bytes of something else" % len(data), remedy) from None


def text_of(example, key):
    """The one text value of a feature; None where it is absent."""
    values = example.features.feature[key].bytes_list.value if key in example.features.feature else ()
    return values[0].decode("utf-8", "replace") if values else None


def add_detections(example, detections, masks=None, input_sha256=None, pixels=False):
    """Write what was found into the image's tf.Example, in place of what may be there. masks: PNG bytes for each, or None."""
    features = example.features.feature
    for key in [key for key in features if key.startswith(_FOUND) or (key == PIXELS and not pixels)]:
        del features[key]
    boxes = np.asarray(detections.boxes, np.float32).reshape(-1, 4)
    for place, corner in enumerate(_CORNERS):
        features["%sbbox/%s" % (_FOUND, corner)].float_list.value.extend(boxes[:, place].tolist())
    features[_FOUND + "label"].int64_list.value.extend((np.asarray(detections.classes, np.int64) + 1).tolist())
    features[_FOUND + "score"].float_list.value.extend(np.asarray(detections.scores, np.float32).tolist())
    if masks is not None:
        features[_FOUND + "mask"].bytes_list.value.extend(masks)
    if input_sha256 is not None:
        features[_FOUND + "input_sha256"].bytes_list.value.append(input_sha256.encode("ascii"))
    return example


def write_shard(path, examples):
    """Write tf.Examples as a TFRecord file, whole or not at all; its entry in inference.json: {"file", "records", "bytes", "frames"}.

    frames: sha256 of the records' lengths and checksums, as in records.json. Equal examples give equal bytes.
    """
    frames, records, size = hashlib.sha256(), 0, 0
    with atomic_write(path) as stream:
        for example in examples:
            payload = serialized(example)
            before, after = frame(payload)
            stream.write(b"".join((before, payload, after)))
            frames.update(before + after)
            records, size = records + 1, size + len(before) + len(payload) + len(after)
    return {"file": Path(str(path)).name, "records": records, "bytes": size, "frames": frames.hexdigest()}


def serialized(example):
    """A tf.Example's bytes, its features in the order of their names: protobuf's versions differ where one name begins with another."""
    features = example.features.feature
    entries = b"".join(_entry(name, features[name].SerializeToString()) for name in sorted(features))
    return example_start(len(entries)) + entries


def _entry(name, feature):
    """An entry of the map: field 1, which `text` encodes; within it the name in field 1 and the value in field 2."""
    return text(text(name) + b"\x12" + text(feature)[1:])


def read_index(folder):
    """The value of a detections artifact's inference.json. Raises StageError where there is none that this version reads."""
    path = Path(str(folder)) / INDEX
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StageError("the detections cannot be read", path, "inference.json of an inference stage", error, "infer again") from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        found = value.get("schema") if isinstance(value, dict) else type(value).__name__
        raise StageError("the detections have another schema", path, SCHEMA, found, "infer again with this version")
    return value


def stream_detections(folder, index):
    """The `Found` of each image, in order, of the detections in `folder`. index: as `read_index` gives it.

    One image is in memory at a time. Raises StageError where a file or record is damaged or is not what the index says.
    """
    for shard in index["shards"]:
        path = Path(str(folder)) / shard["file"]
        whole, end = _whole_spans(path)
        if len(whole) != shard["records"]:
            where = "%s, record %d" % (path, len(whole) + 1)
            raise StageError("a shard of detections is not whole", where, "%d records" % shard["records"], end, "infer again")
        for span, data, damage in payloads(path, whole):
            where = "%s, record %d" % (path, span.number)
            if data is None or damage is not None:
                raise StageError("a record of detections is damaged", where, "a whole record", damage.message, "infer again")
            yield found_in(_parsed(data, where, "infer again"), where)


def found_in(example, where):
    """The `Found` of a tf.Example with detections. Raises StageError where their numbers differ, or it does not say whose image it is."""
    features = example.features.feature

    def values(key, kind):
        return getattr(features[key], kind).value if key in features else ()

    corners = [values("%sbbox/%s" % (_FOUND, corner), "float_list") for corner in _CORNERS]
    labels, scores = values(_FOUND + "label", "int64_list"), values(_FOUND + "score", "float_list")
    masks = list(values(_FOUND + "mask", "bytes_list")) if _FOUND + "mask" in features else None
    counts = {len(each) for each in [*corners, labels, scores] + ([] if masks is None else [masks])}
    if len(counts) != 1:
        raise StageError(
            "a record's detections do not fit together",
            where,
            "as many corners, labels, scores and masks",
            ", ".join(map(str, sorted(counts))),
            "infer again",
        )
    source = text_of(example, "image/source_id")
    if source is None or not source.isdecimal():
        raise StageError("a record does not tell its image", "%s: image/source_id" % where, "the image's id", source, "infer again")
    boxes = np.stack([np.array(each, np.float32) for each in corners], axis=1)
    return Found(
        int(source),
        text_of(example, "image/key/sha256"),
        text_of(example, _FOUND + "input_sha256"),
        *[next(iter(values(key, "int64_list")), 0) for key in ("image/width", "image/height")],
        Detections(boxes, np.array(labels, np.int64) - 1, np.array(scores, np.float32)),
        masks,
        where,
    )
