"""Run a checkpoint on a split of the records: the chosen one, the same as a float model, or the last before quantization."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import importlib_metadata
from checkpoint_graph import BOXES, INPUT, SCORES, write_checkpoint_graph

from _detection.inference import check_classes, run_detector
from _detection.postprocess import attributes, nms_kind
from _odapi.checkpoint_classes import checkpoint_classes
from _odapi.config_text import read_config
from _odapi.exportable import check_exportable, decode_attributes, input_size
from _runtime import StageError, run
from _tf1_export.checkpoint import checkpoint_step, warn_of_delay
from _tf1_inference.apart import run_apart
from _tf1_inference.raw_detector import RawDetector
from _untrained.marks import refuse_untrained

FLOAT = "before_quantization"


class Chosen(NamedTuple):
    """A checkpoint of the artifact. kind: of model; prefix: in its folder; quantized: whether the model is to have fake-quantization."""

    kind: str
    prefix: str
    step: int
    quantized: bool


def main(task):
    """The pixels that the .tflite gets, normalized as it normalizes them, through the graph that training evaluates."""
    versions = {name: importlib_metadata.version(name) for name in ("tensorflow", "tf-object-detection")}
    task.tools.update(versions)
    source = task.input("checkpoint")
    about, config_path = source.json("checkpoint.json"), source.path / "pipeline.config"
    refuse_untrained(about, "checkpoint.json")
    config = read_config(config_path)
    check_exportable(config, task.params, "infer-checkpoint")
    check_classes(
        checkpoint_classes(about, config.model.ssd.num_classes),
        task.input("records").json("records.json")["classes"],
        "checkpoint.json",
    )
    chosen = choose(about, config, task.params["which"])
    prefix, path = str(source.path / chosen.prefix), task.scratch / "model.pb"
    checkpoint_step(prefix, chosen.step)
    if chosen.quantized:
        warn_of_delay(task, config, chosen.step)
    graph = run_apart(write_checkpoint_graph, str(path), str(config_path), prefix, chosen.quantized)
    how = attributes(decode_attributes(config, task.params), "pipeline.config")
    detector = RawDetector(path, INPUT, (BOXES, SCORES), graph.normalization, graph.anchors, how, graph.restore)
    model = {"kind": chosen.kind, "runtime": "TensorFlow", "version": versions["tensorflow"], "sha256": sha256_weights(prefix)}
    run_detector(task, input_size(config), detector, dict(model, nms=nms_kind(how), which=task.params["which"], step=chosen.step))


def choose(about, config, which):
    """The `Chosen` checkpoint. about: the value of checkpoint.json. Raises StageError where there is none from before quantization."""
    if which == "chosen":
        return Chosen("checkpoint", about["prefix"], about["step"], config.HasField("graph_rewriter"))
    told = about if which == "chosen-as-float" else about.get(FLOAT)
    if told is None:
        raise StageError(
            "there is no checkpoint from before quantization",
            "checkpoint.json: %s" % FLOAT,
            "the step and prefix of one",
            "null" if FLOAT in about else "nothing",
            "train with keep_float: true and a graph_rewriter whose delay is neither 0 nor past the last step",
        )
    return Chosen("float-checkpoint", told["prefix"], told["step"], quantized=False)


def sha256_weights(prefix):
    """Hex sha256 of a checkpoint's weights: of its data files' bytes, one after the other where there are several."""
    digest = hashlib.sha256()
    folder, _, name = prefix.rpartition("/")
    for path in sorted(Path(folder).glob(name + ".data-*")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    run(main)
