"""A Model Garden RetinaNet that trains in seconds: records of a few pictures with objects, and an experiment for 64 pixels."""

import hashlib
import io
import json
import os
import struct
import subprocess
import sys

import numpy as np
import yaml
from _runtime import Task
from PIL import Image

from stage_helpers import STAGES, Outcome, artifact, load, run_program, write_task

CLASSES = ["circle", "square", "triangle"]
SIZE = 64
ENV = {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
CONFIGURE = {"template": None, "overrides": {}, "quantizable": True}
TRAIN = {
    "quantize": False,
    "evaluate_every": 0,
    "checkpoint_every": 2,
    "keep_checkpoints": 3,
    "export": "last",
    "deterministic": False,
    "seed": 1,
    "intra_op_threads": 1,
    "inter_op_threads": 1,
    "untrained": False,
}
FREEZE = {
    "postprocess": True,
    "max_detections": 20,
    "max_classes_per_detection": 1,
    "detections_per_class": 20,
    "regular_nms": False,
}


def template(**trainer):
    """The fields of a template. trainer: fields of the trainer that differ."""
    norm = {"activation": "relu6", "norm_epsilon": 0.001, "norm_momentum": 0.9}
    model = {
        "input_size": [SIZE, SIZE, 3],
        "min_level": 3,
        "max_level": 4,
        "anchor": {"anchor_size": 3, "aspect_ratios": [1.0, 2.0], "num_scales": 1},
        "backbone": {"type": "mobilenet", "mobilenet": {"model_id": "MobileNetV2", "filter_size_scale": 0.35}},
        "decoder": {"type": "fpn", "fpn": {"num_filters": 16, "use_separable_conv": True, "use_keras_layer": True}},
        "head": {"num_convs": 1, "num_filters": 16, "use_separable_conv": True},
        "norm_activation": norm,
        "detection_generator": {"pre_nms_top_k": 100, "pre_nms_score_threshold": 0.01},
    }
    data = {"global_batch_size": 2, "dtype": "float32"}
    parser = {"aug_rand_hflip": True, "aug_scale_min": 0.8, "aug_scale_max": 1.2}
    optimizer = {
        "optimizer": {"type": "sgd", "sgd": {"momentum": 0.9}},
        "learning_rate": {"type": "cosine", "cosine": {"initial_learning_rate": 0.01, "decay_steps": 4}},
        "warmup": {"type": "linear", "linear": {"warmup_steps": 1, "warmup_learning_rate": 0.001}},
    }
    return {
        "task": {
            "model": model,
            "losses": {"l2_weight_decay": 0.0},
            "train_data": dict(data, shuffle_buffer_size=10, parser=parser),
            "validation_data": data,
        },
        "trainer": dict({"train_steps": 4, "optimizer_config": optimizer}, **trainer),
    }


def write_template(path, fields=None):
    """Write a template; returns its path as a parameter."""
    path.write_text(yaml.safe_dump(fields or template()), encoding="utf-8")
    return str(path)


def write_records(folder, train=4, val=2):
    """A records artifact with a train split of two shards and a val split; each picture, not square, shows two objects."""
    folder.mkdir(parents=True)
    splits, number = {}, 0
    for split, count, shards in (("train", train, 2), ("val", val, 1)):
        examples = [example(number + place) for place in range(1, count + 1)]
        number += count
        files = [_write_shard(folder / ("%s.record-%05d-of-%05d" % (split, at, shards)), examples[at::shards]) for at in range(shards)]
        sizes = [(label, at + 1, box[3] - box[1], box[2] - box[0]) for at in range(count) for label, box in boxes(number - count + at + 1)]
        kinds = [("class", "i4"), ("image", "i4"), ("width", "f4"), ("height", "f4")]
        np.save(str(folder / (split + ".boxes.npy")), np.array(sizes, kinds))
        splits[split] = {"images": count, "objects": 2 * count, "per_class": dict.fromkeys(CLASSES, count), "shards": files}
    (folder / "records.json").write_text(json.dumps({"schema": 2, "classes": CLASSES, "splits": splits}), encoding="utf-8")
    items = "".join('item {\n  id: %d\n  name: "%s"\n}\n' % item for item in enumerate(CLASSES, 1))
    (folder / "label_map.pbtxt").write_text(items, encoding="utf-8")
    return artifact("records", "records", folder)


def _write_shard(path, examples):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for serialized in examples:
            writer.write(serialized)
    content, place, digest = path.read_bytes(), 0, hashlib.sha256()
    while place < len(content):
        end = place + 12 + struct.unpack_from("<Q", content, place)[0] + 4
        digest.update(content[place : place + 12] + content[end - 4 : end])
        place = end
    return {"file": path.name, "records": len(examples), "bytes": len(content), "frames": digest.hexdigest()}


def picture(number):
    """uint8 [height, width, 3]: noise with two grey rectangles, those of `boxes`."""
    width, height = 90 + 5 * number, 60 + 3 * number
    pixels = np.random.RandomState(number).randint(0, 256, [height, width, 3]).astype(np.uint8)
    for label, box in boxes(number):
        top, left, bottom, right = (round(side * scale) for side, scale in zip(box, (height, width, height, width)))
        pixels[top:bottom, left:right] = 80 * label
    return pixels


def boxes(number):
    """[(label, (ymin, xmin, ymax, xmax))] of a picture."""
    return [(number % 3 + 1, (0.1, 0.1, 0.5, 0.45)), ((number + 1) % 3 + 1, (0.5, 0.5, 0.95, 0.9))]


def encoded(number):
    """The JPEG file of a picture, as the records have it."""
    stream = io.BytesIO()
    Image.fromarray(picture(number)).save(stream, "JPEG")
    return stream.getvalue()


def example(number, image=None):
    """A serialized tf.Example of a picture and its boxes. image: another file of it, as bytes."""
    import tensorflow as tf

    height, width, _ = picture(number).shape
    features = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image or encoded(number)])),
        "image/source_id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"%d" % number])),
        "image/height": tf.train.Feature(int64_list=tf.train.Int64List(value=[height])),
        "image/width": tf.train.Feature(int64_list=tf.train.Int64List(value=[width])),
    }
    found = boxes(number)
    features["image/object/class/label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label for label, _ in found]))
    for place, corner in enumerate(("ymin", "xmin", "ymax", "xmax")):
        value = [box[place] for _, box in found]
        features["image/object/bbox/" + corner] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def run_prepared(folder, stage):
    """Run the stage in a folder in which `write_task` has made its task, with what lies in its scratch folder already."""
    environment = dict(ENV, PATH=os.environ["PATH"], HOME=str(folder), PYTHONPATH=str(STAGES), PYTHONHASHSEED="0", MPLBACKEND="Agg")
    command = [sys.executable, str(STAGES / stage / "run.py"), str(folder / "task.json")]
    done = subprocess.run(command, env=environment, cwd=str(folder), capture_output=True, text=True, timeout=600, check=False)
    return Outcome(folder, done.returncode, done.stdout + done.stderr)


_made = {}


def _once(name, tmp_path_factory, make):
    """What `make(folder)` gives, made once for all test modules."""
    if name not in _made:
        _made[name] = make(tmp_path_factory.mktemp(name))
    return _made[name]


def shared_records(tmp_path_factory):
    """The task's entry for the records that trainings share."""
    return _once("garden-records", tmp_path_factory, lambda folder: write_records(folder / "records"))


def shared_config(tmp_path_factory):
    """The task's entry for the experiment that trainings share."""

    def make(folder):
        params = {"template": write_template(folder / "tiny.yaml"), "overrides": {}, "quantizable": False}
        fields = write_task(folder / "run", "configure-garden", params, {"records": shared_records(tmp_path_factory)})
        load("configure-garden", "run").main(Task(fields))
        return artifact("configure", "experiment-config", folder / "run" / "output")

    return _once("garden-config", tmp_path_factory, make)


def train_inputs(tmp_path_factory, pretrained=None):
    """The inputs of a training of theirs. pretrained: the folder of a checkpoint-garden artifact."""
    start = pretrained and artifact("train", "checkpoint-garden", pretrained)
    return {"records": shared_records(tmp_path_factory), "config": shared_config(tmp_path_factory), "pretrained": start}


def float_training(tmp_path_factory):
    """The Outcome of a float training of four steps, evaluated after two."""
    params = dict(TRAIN, evaluate_every=2)
    return _once("garden-float", tmp_path_factory, lambda folder: _train(folder, params, train_inputs(tmp_path_factory)))


def quantized_training(tmp_path_factory):
    """The same of a deterministic quantization-aware one that starts there; its checkpoints of steps 2 and 4 stay in scratch."""
    params, start = dict(TRAIN, quantize=True, deterministic=True), float_training(tmp_path_factory).output
    return _once("garden-quantized", tmp_path_factory, lambda folder: _train(folder, params, train_inputs(tmp_path_factory, start)))


def untrained_models(tmp_path_factory):
    """The Outcomes of a float training that stops before its first step, and of a quantization-aware one that starts there."""

    def make(folder):
        first = _train(folder / "float", dict(TRAIN, untrained=True), train_inputs(tmp_path_factory))
        params = dict(TRAIN, untrained=True, quantize=True)
        return first, _train(folder / "quantized", params, train_inputs(tmp_path_factory, first.output))

    return _once("garden-untrained", tmp_path_factory, make)


def _train(folder, params, inputs):
    done = run_program(folder / "run", "train-garden", params, inputs, env=ENV)
    if done.code:
        raise RuntimeError(done.log)
    return done
