"""The Object Detection API's own exports (version 0.0.3), in a graph of their own and with their failures explained."""

import tempfile
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf
from object_detection import export_tflite_ssd_graph_lib, exporter
from tensorflow.core.protobuf import saved_model_pb2

from _runtime import StageError
from _tf1.graph import read_graph, write_message


def check_exportable(config, params):
    """Refuse what cannot become a TensorFlow Lite detector, with the config's field or the stage's parameter. Raises StageError."""
    kind = config.model.WhichOneof("model")
    if kind != "ssd":
        raise StageError("only SSD models can be exported for TensorFlow Lite", "pipeline.config: model", "ssd", kind, "train an SSD")
    resizer = config.model.ssd.image_resizer.WhichOneof("image_resizer_oneof")
    if resizer != "fixed_shape_resizer":
        raise StageError(
            "a TensorFlow Lite detector needs a fixed input size",
            "pipeline.config: model.ssd.image_resizer",
            "fixed_shape_resizer",
            resizer,
            "train with a fixed_shape_resizer",
        )
    if config.model.ssd.image_resizer.fixed_shape_resizer.convert_to_grayscale:
        raise StageError(
            "grey models are not supported",
            "pipeline.config: model.ssd.image_resizer.fixed_shape_resizer.convert_to_grayscale",
            "false",
            "true",
            "train on three channels",
        )
    coder = config.model.ssd.box_coder.WhichOneof("box_coder_oneof")
    if coder != "faster_rcnn_box_coder":
        raise StageError(
            "the post-process decodes one box coding only",
            "pipeline.config: model.ssd.box_coder",
            "faster_rcnn_box_coder",
            coder,
            "train with a faster_rcnn_box_coder",
        )
    if params["max_classes_per_detection"] > config.model.ssd.num_classes:
        # The operator would leave the places of the missing classes unwritten.
        raise StageError(
            "a box cannot have more classes than the model",
            "freeze.max_classes_per_detection",
            "at most %d (model.ssd.num_classes)" % config.model.ssd.num_classes,
            params["max_classes_per_detection"],
            "lower max_classes_per_detection",
        )


def export_tflite(config, prefix, scratch, params):
    """The GraphDef of tflite_graph.pb. params: the stage's parameters; prefix: of the checkpoint; scratch: a folder."""
    with tempfile.TemporaryDirectory(dir=str(scratch)) as folder, _explained(prefix):
        export_tflite_ssd_graph_lib.export_tflite_graph(
            _copy(config),
            prefix,
            folder,
            params["postprocess"],
            params["max_detections"],
            params["max_classes_per_detection"],
            detections_per_class=params["detections_per_class"],
            use_regular_nms=params["regular_nms"],
        )
        return read_graph(Path(folder) / "tflite_graph.pb")


def export_inference(config, prefix, scratch, output, inference_graph, saved_model):
    """Write inference_graph/frozen_inference_graph.pb and saved_model/saved_model.pb, as asked, to the folder `output`.

    Their input is `image_tensor`, uint8 [batch, height, width, 3]; they resize, normalize, decode and suppress by themselves.
    """
    with tempfile.TemporaryDirectory(dir=str(scratch)) as folder, _explained(prefix):
        exporter.export_inference_graph("image_tensor", _copy(config), prefix, folder)
        if inference_graph:
            write_message(read_graph(Path(folder) / "frozen_inference_graph.pb"), output / "inference_graph" / "frozen_inference_graph.pb")
        if saved_model:
            model = saved_model_pb2.SavedModel()
            model.ParseFromString((Path(folder) / "saved_model" / "saved_model.pb").read_bytes())
            write_message(model, output / "saved_model" / "saved_model.pb")


def _copy(config):
    """The exporters change the config that they are given."""
    copied = type(config)()
    copied.CopyFrom(config)
    return copied


def open_checkpoint(prefix):
    """A reader of the checkpoint. Raises StageError where it is missing or damaged."""
    try:
        return tf.train.load_checkpoint(prefix)
    except (tf.errors.OpError, ValueError) as error:
        raise StageError(
            "the checkpoint cannot be read",
            prefix,
            "a whole TensorFlow 1 checkpoint",
            _first_line(error),
            "train again, or restore its files",
        ) from None


@contextmanager
def _explained(prefix):
    """A fresh default graph; a restore that fails becomes a StageError naming the variables."""
    with tf.Graph().as_default() as graph:
        try:
            yield
        except tf.errors.OpError as error:
            raise _restore_error(graph, prefix, error) from None
        except ValueError as error:
            # What the API says of a config that it cannot build.
            raise StageError(
                "the Object Detection API cannot export this model",
                "pipeline.config",
                "a model that it builds",
                _first_line(error),
                "mend the config that the checkpoint was trained with",
            ) from None


def _restore_error(graph, prefix, error):
    stored = open_checkpoint(prefix).get_variable_to_shape_map()
    wanted = {variable.op.name: variable.shape.as_list() for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)}
    missing = sorted(name for name in wanted if name not in stored)
    if missing:
        return StageError(
            "the checkpoint lacks variables of the model",
            missing[0],
            "%d variables" % len(wanted),
            "%d are missing%s" % (len(missing), _more(missing)),
            _missing_remedy(missing),
        )
    other = sorted(name for name in wanted if stored[name] != wanted[name])
    if other:
        return StageError(
            "the checkpoint is of another model",
            other[0],
            "shape %s" % wanted[other[0]],
            "shape %s" % stored[other[0]],
            "freeze with the pipeline.config that it was trained with",
        )
    return StageError(
        "the checkpoint cannot be restored",
        prefix,
        "a whole TensorFlow 1 checkpoint",
        _first_line(error),
        "train again, or restore its files",
    )


def _more(names):
    return "" if len(names) == 1 else ", among them %s" % ", ".join(names[1:4])


def _missing_remedy(missing):
    if any("_quant/" in name for name in missing):
        return "it was trained without quantization: train with graph_rewriter, or freeze with the config that it was trained with"
    if any("BoxPredictor" in name and "BatchNorm" in name for name in missing):
        return "it was trained without the patched prediction heads: train it with the train image"
    return "freeze with the pipeline.config that it was trained with"


def _first_line(error):
    return (str(getattr(error, "message", error)).strip() or type(error).__name__).splitlines()[0][:300]
