"""The models that are compiled: read, predicted and refused where the compiler would make nothing of them."""

import os
from pathlib import Path
from typing import NamedTuple

from _edgetpu.prediction import predict
from _runtime import StageError
from _tflite.model import read_model

_QUANTIZED = ("int8", "uint8", "int16")
_REMEDY = "the Edge TPU takes fully quantized models only: convert with inference_type uint8 or int8"


class Source(NamedTuple):
    """A model. name: of its file, without .tflite, in the folder of the compilation; where: its name in messages; prediction: as JSON."""

    name: str
    where: str
    path: Path
    key: str
    digest: str
    content: bytes
    prediction: dict


def read_sources(task, options):
    """The model and what is compiled together with it, each a `Source` with a name of its own: the compiler names its files after them.

    The names go by place, not by the pipeline's steps: the artifact depends on its inputs alone. Raises StageError for what is no whole
    TensorFlow Lite model, is compiled already, or is not quantized.
    """
    inputs = [("model", task.input("model"))] + [("other_%d" % number, each) for number, each in enumerate(task.inputs("others"), 1)]
    sources = [_read(name, artifact, options.target) for name, artifact in inputs]
    _check_tensors(options.tensors, sources[0], task.name)
    return sources


def link(sources, folder):
    """Give each model its file name in `folder`; returns the names."""
    names = []
    for source in sources:
        place = folder / (source.name + ".tflite")
        os.symlink(str(source.path), str(place))
        names.append(place.name)
    return names


def _read(name, artifact, target):
    path = artifact.path / "model.tflite"
    where = "input %s: model.tflite of %s" % ("model" if name == "model" else "others", artifact.name)
    content = path.read_bytes()
    prediction = predict(content, target, where)
    _require_quantized(read_model(content, where), where)
    return Source(name, where, path, artifact.key, artifact.digest, content, prediction.as_json())


def _require_quantized(model, where):
    for operator in model.operators:
        if any(model.tensors[index].type in _QUANTIZED and model.tensors[index].scales for index in operator.outputs):
            return
    first = model.operators[0]
    output = model.tensors[first.outputs[0]] if first.outputs else None
    weights = sum(tensor.type in _QUANTIZED and bool(tensor.bytes) for tensor in model.tensors)
    raise StageError(
        "the model is not quantized",
        "%s, operator 0, %s" % (where, first.op),
        "an output of int8 or uint8, with a scale",
        "%s from all %d operators%s"
        % (output.type if output else "nothing", len(model.operators), ", with %d quantized constants" % weights if weights else ""),
        _REMEDY + ("; quantized weights alone (dynamic range) are not enough" if weights else ""),
    )


def _check_tensors(names, source, step):
    if not names:
        return
    model = read_model(source.content, source.where)
    computed = {model.tensors[index].name for operator in model.operators for index in operator.outputs}
    for name in names:
        if name not in computed:
            raise StageError(
                "the model computes no tensor of that name",
                "%s.intermediate_tensors" % step,
                "a name that prediction.json tells as `layer`",
                name,
                "take the names from ./mill edgetpu.predict, or from prediction.json",
            )
