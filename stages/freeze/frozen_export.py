"""The Object Detection API's own exports (version 0.0.3), in a graph of their own and with their failures explained."""

import tempfile
from pathlib import Path

from object_detection import export_tflite_ssd_graph_lib, exporter
from tensorflow.core.protobuf import saved_model_pb2

from _tf1.graph import read_graph, write_message
from _tf1_export.checkpoint import fresh_graph


def export_tflite(config, prefix, scratch, params):
    """The GraphDef of tflite_graph.pb. params: the stage's parameters; prefix: of the checkpoint; scratch: a folder."""
    with tempfile.TemporaryDirectory(dir=str(scratch)) as folder, fresh_graph(prefix):
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
    with tempfile.TemporaryDirectory(dir=str(scratch)) as folder, fresh_graph(prefix):
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
