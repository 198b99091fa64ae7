"""TensorFlow's converter, in a process of its own: `converter_program.py REQUEST.json`; see `converter_process.Request` for what is in it.

It writes model.tflite and converted.json to its working folder, or failed.json where it knows what is wrong.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from _detection.resize import normalize

_SIGNATURE = "serving_default"
_UNKNOWN = re.compile(r"unresolved custom ops?: \[?([\w, ]+)")
_WAIT = 0.01  # seconds between looks for the images, which another process prepares


def main():
    """Convert; what else fails than an unknown operator ends with TensorFlow's own words and exit status 1."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    graph = saved_model_pb2.SavedModel.FromString((Path(request["saved_model"]) / "saved_model.pb").read_bytes()).meta_graphs[0]
    converter = make_converter(request)
    start = time.perf_counter()
    try:
        content = converter.convert()
    except RuntimeError as error:
        unknown = _UNKNOWN.search(str(error))
        if not unknown:
            raise
        _write("failed.json", {"operators": {name: _layers_of(graph.graph_def, name) for name in unknown.group(1).split(", ")}})
        sys.exit(1)
    signature = graph.signature_def[_SIGNATURE]
    about = {
        "inputs": {key: tensor.name for key, tensor in signature.inputs.items()},
        "outputs": {key: tensor.name for key, tensor in signature.outputs.items()},
        "seconds": round(time.perf_counter() - start, 3),
        "tensorflow": tf.__version__,
    }
    Path("model.tflite").write_bytes(content)
    _write("converted.json", about)


def make_converter(request):
    """A tf.lite.TFLiteConverter, set up as a request says."""
    converter = tf.lite.TFLiteConverter.from_saved_model(request["saved_model"], signature_keys=[_SIGNATURE])
    converter.allow_custom_ops = True
    quantization = request["quantization"]
    if quantization != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization == "int8":
        converter.inference_input_type = tf.as_dtype(request["input_type"])
        if request["images"] is not None:  # else ranges were trained, and the converter takes no int8-only set without images
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: normalized_images(**request["images"])
    return converter


def normalized_images(path, size, mean, std, stage):
    """Each image as the model reads it: a list of one float32 [1, height, width, 3].

    path: of the pixels, uint8, for which this waits; size: [height, width]; stage: the process that writes them, and started this one. This
    one ends where that is gone, as a stage that is killed cannot end what it started.
    """
    while not Path(path).exists():
        if os.getppid() != stage:
            sys.exit("the stage has ended, and nothing writes the images")
        time.sleep(_WAIT)
    for pixels in np.memmap(path, np.uint8, "r").reshape(-1, *size, 3):
        yield [normalize(pixels[np.newaxis], mean, std)]


def _layers_of(graph, operation):
    """Names of the nodes of a kind in a GraphDef and its functions."""
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return sorted({node.name for node in nodes if node.op == operation})


def _write(name, value):
    Path(name).write_text(json.dumps(value), encoding="utf-8")


if __name__ == "__main__":
    main()
