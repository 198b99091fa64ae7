"""The options of TFLite_Detection_PostProcess as all its attributes.

The converter of TensorFlow 2 writes those that it knows: detections_per_class is not among them, so that the operator would take its own
default, 100, whatever was asked for (tensorflow/compiler/mlir/lite/utils/nms_utils.cc). So the options are written anew, as the operator's
own kernel reads them.
"""

from flatbuffers import flexbuffers

from _tflite.custom_options import canonical


def options(decode):
    """FlexBuffer bytes of the attributes {name: bool, int or float}, in canonical form."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, value in sorted(decode.items()):
            builder.Key(name)
            if isinstance(value, bool):
                builder.Bool(value)
            elif isinstance(value, int):
                builder.Int(value)
            else:
                builder.Float(value, 4)
    return canonical(bytes(builder.Finish()))
