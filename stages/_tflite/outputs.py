"""Which output of a detector is which. Exporters write them in different orders and under different names, so neither is relied on.

The post-process operator puts out boxes, classes, scores and their number, in this order (detection_postprocess.cc of TensorFlow Lite). A
model without it puts out encoded boxes [1, n, 4] and scores [1, n, classes]; export_tflite_ssd_graph_lib.py of the Object Detection API
names them.
"""

from _runtime import StageError

POSTPROCESS = "TFLite_Detection_PostProcess"
OF_OPERATOR = ("boxes", "classes", "scores", "count")
RAW = ("boxes", "scores")
_RAW_NAMES = {"raw_outputs/box_encodings": "boxes", "raw_outputs/class_predictions": "scores"}
_TO_SCORES = ("LOGISTIC", "SOFTMAX")
_PASSING_ON = ("DEQUANTIZE", "QUANTIZE", "RESHAPE")
_EXPORT_AGAIN = "export the model with its post-process operator, or with raw_outputs/box_encodings and raw_outputs/class_predictions alone"


def postprocess_operator(model, where="model.tflite"):
    """The post-process `Operator` of a `Model`, whose inputs are boxes, scores and anchors; None where it has none.

    Raises StageError where there are several, or it lacks an input.
    """
    found = [operator for operator in model.operators if operator.custom and operator.op == POSTPROCESS]
    if len(found) > 1:
        raise StageError("the model has several post-process operators", where, "one of %s" % POSTPROCESS, len(found), _EXPORT_AGAIN)
    if found and (len(found[0].inputs) != 3 or min(found[0].inputs) < 0):
        raise StageError(
            "the post-process operator lacks an input", where, "boxes, scores and anchors", list(found[0].inputs), _EXPORT_AGAIN
        )
    return found[0] if found else None


def output_order(model, where="model.tflite"):
    """What each output of a `Model` is, in the model's order: names of OF_OPERATOR or of RAW.

    Raises StageError where they are not a detector's, or cannot be told apart.
    """
    operator = postprocess_operator(model, where)
    return _raw_order(model, where) if operator is None else _operator_order(model, operator, where)


def _operator_order(model, operator, where):
    made = dict(zip(operator.outputs, OF_OPERATOR))
    order = [made.get(index, model.tensors[index].name) for index in model.outputs]
    if sorted(order) != sorted(OF_OPERATOR):
        raise StageError(
            "the model's outputs are not those of its post-process operator",
            where,
            "%s, in any order" % ", ".join(OF_OPERATOR),
            ", ".join(order) or "none",
            _EXPORT_AGAIN,
        )
    return order


def _raw_order(model, where):
    tensors = [model.tensors[index] for index in model.outputs]
    shapes = [tensor.shape for tensor in tensors]
    told = ", ".join("%s %s" % (tensor.name, list(tensor.shape)) for tensor in tensors) or "none"
    pair = len(shapes) == 2 and all(len(shape) == 3 and shape[0] == 1 for shape in shapes) and shapes[0][1] == shapes[1][1]
    if not pair or 4 not in (shapes[0][2], shapes[1][2]):
        expected = "those of %s, or encoded boxes [1, anchors, 4] and scores [1, anchors, classes]" % POSTPROCESS
        raise StageError("the model's outputs are not a detector's", where, expected, told, _EXPORT_AGAIN)
    for order in (list(RAW), list(RAW[::-1])):
        if _fits(model, tensors, order):
            return order
    raise StageError(
        "the model's boxes and scores cannot be told apart",
        where,
        "one output with 4 values an anchor, or the names %s" % " and ".join(sorted(_RAW_NAMES)),
        told,
        _EXPORT_AGAIN,
    )


def _fits(model, tensors, order):
    """Whether the two raw outputs are surely in this order: by their shapes, else by their names, else by what makes them."""
    boxes, scores = (tensors[order.index(role)] for role in RAW)
    if boxes.shape[2] != 4 or scores.shape[2] != 4:
        return boxes.shape[2] == 4
    if _RAW_NAMES.get(boxes.name) == "boxes" or _RAW_NAMES.get(scores.name) == "scores":
        return True
    return _is_score(model, scores) and not _is_score(model, boxes)


def _is_score(model, tensor):
    """Whether a tensor comes out of a sigmoid or softmax, perhaps reshaped or in another number format since."""
    index = tensor.index
    for _ in range(len(_PASSING_ON) + 1):
        operator = next((operator for operator in model.operators if index in operator.outputs), None)
        if operator is None or not operator.inputs or operator.op not in _PASSING_ON:
            break
        index = operator.inputs[0]
    return operator is not None and operator.op in _TO_SCORES
