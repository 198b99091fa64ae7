"""Export the frozen graph for TensorFlow Lite, and audit that every layer is fake-quantized."""

import io
import shutil

import importlib_metadata
import numpy as np
import tensorflow as tf
from frozen_export import export_inference, export_tflite
from graph_description import BOXES, SCORES, describe

from _odapi.checkpoint_classes import checkpoint_classes
from _odapi.config_text import read_config
from _odapi.exportable import check_exportable
from _runtime import atomic_write, run, write_json
from _tf1.graph import GraphIndex, write_message
from _tf1.graph_audit import as_json, audit, require_quantized
from _tf1_export.checkpoint import checkpoint_step, warn_of_delay
from _untrained.marks import passed_on


def main(task):
    """Freeze the checkpoint; the audit's table is written before it is judged, and kept where it passes."""
    task.tools.update({"tensorflow": tf.__version__, "tf-object-detection": importlib_metadata.version("tf-object-detection")})
    checkpoint = task.input("checkpoint")
    about = checkpoint.json("checkpoint.json")
    config = read_config(checkpoint.path / "pipeline.config")
    check_exportable(config, task.params, "freeze")
    classes = checkpoint_classes(about, config.model.ssd.num_classes)
    prefix = str(checkpoint.path / about["prefix"])
    step = checkpoint_step(prefix, about["step"])
    untrained = passed_on(task, about)
    if not untrained:
        warn_of_delay(task, config, step)
    graph = export_tflite(config, prefix, task.scratch, task.params)
    layers = _audit(task, graph, config.HasField("graph_rewriter"))
    anchors = _anchors(graph)
    write_message(graph, task.output / "tflite_graph.pb")
    _write_array(anchors, task.output / "anchors.npy")
    write_json(task.output / "graph.json", dict(describe(config, task.params, classes, step, len(anchors)), **untrained))
    shutil.copyfile(str(checkpoint.path / "pipeline.config"), str(task.output / "pipeline.config"))
    if (task.params["inference_graph"] or task.params["saved_model"]) and not untrained:  # nobody is to run it
        export_inference(config, prefix, task.scratch, task.output, task.params["inference_graph"], task.params["saved_model"])
    task.metrics.update({"layers": len(layers), "anchors": len(anchors), "step": step})


def _audit(task, graph, quantized):
    layers = audit(GraphIndex(graph, [BOXES, SCORES]))
    if not quantized:
        task.warn(
            "the checkpoint was not trained for quantization (its pipeline.config has no graph_rewriter): "
            "only a float model can be made of it"
        )
        layers = [layer._replace(status="not quantized") for layer in layers]
    write_json(task.output / "fake_quant_audit.json", as_json(layers, quantized))
    if quantized:
        require_quantized(layers, "tflite_graph.pb")
    return layers


def _anchors(graph):
    """Centre-size anchors, float32 [n, 4]: ycenter, xcenter, height, width, 1.0 being the image's side."""
    node = next(node for node in graph.node if node.name == "anchors")
    return np.ascontiguousarray(tf.make_ndarray(node.attr["value"].tensor), np.float32)


def _write_array(array, path):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    with atomic_write(path) as out:
        out.write(stream.getvalue())


if __name__ == "__main__":
    run(main)
