"""What later stages must know of a frozen graph: graph.json."""

from _odapi.exportable import decode_attributes, input_size
from _tf1_export.normalization import quantized_normalization, training_normalization

INPUT = "normalized_input_image_tensor"
BOXES, SCORES = "raw_outputs/box_encodings", "raw_outputs/class_predictions"
POSTPROCESS = "TFLite_Detection_PostProcess"


def describe(config, params, classes, step, anchors):
    """The value of graph.json.

    classes: names, in the label map's order; anchors: number of them. `input.mean` and `input.std` are what the converter is told and what
    the quantized model computes with: value = (pixel - mean) / std; `input.trained_mean` and `trained_std` are training's own.
    """
    size = input_size(config)
    trained_mean, trained_std = training_normalization(config, size)
    mean, std = quantized_normalization(trained_mean, trained_std)
    return {
        "schema": 1,
        "input": {
            "name": INPUT,
            "shape": [1, *size, 3],
            "mean": mean,
            "std": std,
            "trained_mean": trained_mean,
            "trained_std": trained_std,
        },
        "outputs": [POSTPROCESS + end for end in ("", ":1", ":2", ":3")] if params["postprocess"] else [BOXES, SCORES],
        "raw_outputs": {"boxes": BOXES, "scores": SCORES},
        "postprocess": params["postprocess"],
        "decode": decode_attributes(config, params),
        "score_converter": type(config.model.ssd.post_processing).ScoreConverter.Name(config.model.ssd.post_processing.score_converter),
        "input_size": size,
        "anchors": anchors,
        "classes": classes,
        "quantized": config.HasField("graph_rewriter"),
        "step": step,
    }
