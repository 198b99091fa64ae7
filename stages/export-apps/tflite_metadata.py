"""TensorFlow Lite's metadata of a detector, in the official schema: what its Task Library needs to know of the model.

The names of the outputs and the order of a box's sides are those that the library's ObjectDetector looks for
(tensorflow_lite_support/cc/task/vision/object_detector.cc).
"""

import flatbuffers
from tensorflow_lite_support.metadata import metadata_schema_py_generated as schema
from tensorflow_lite_support.metadata import schema_py_generated as model_schema
from tensorflow_lite_support.metadata.python.metadata_writers import metadata_info as info

LABELS = "labels.txt"
IDENTIFIER = b"M001"  # of the schema, metadata_schema.fbs; the next from its history: since when there are groups of outputs
PARSER = "1.2.0"
NAMES = {"boxes": "location", "classes": "category", "scores": "score", "count": "number of detections"}
_ABOUT = {
    "boxes": "The boxes: top, left, bottom and right side, from 0 to 1 of the picture's height and width.",
    "classes": "Each box's class, from 0: a line of the label file.",
    "scores": "Each box's score, 0 to 1; the surest comes first.",
    "count": "How many boxes there are.",
}
_SIDES = [1, 0, 3, 2]  # where left, top, right and bottom are among ymin, xmin, ymax, xmax
_AXIS = 2  # values are told for each box, which the second dimension of the outputs has


def metadata_of(package, file):
    """The bytes of a ModelMetadata. package: `Package`; file: `ModelFile`, one of its models. It names LABELS, which must lie inside."""
    outputs = [_output(role) for role in file.roles]
    subgraph = schema.SubGraphMetadataT()
    subgraph.inputTensorMetadata = [_input(package, file.interface.source).create_metadata()]
    subgraph.outputTensorMetadata = outputs
    subgraph.outputTensorGroups = [_group()]
    height, width = package.size
    about = "Finds objects of %d classes in pictures of %d x %d pixels." % (len(package.classes), width, height)
    metadata = info.GeneralMd(name="Object detector", description=about).create_metadata()
    metadata.subgraphMetadata = [subgraph]
    metadata.minParserVersion = PARSER
    builder = flatbuffers.Builder(0)
    builder.Finish(metadata.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _input(package, source):
    mean, std = ([float(level) for level in (value if isinstance(value, list) else [value])] for value in (package.mean, package.std))
    mean, std = (value * (max(len(mean), len(std)) // len(value)) for value in (mean, std))
    return info.InputImageTensorMd(
        name="image",
        description="The picture, in red, green and blue.",
        norm_mean=mean,
        norm_std=std,
        color_space_type=schema.ColorSpaceType.RGB,
        tensor_type=getattr(model_schema.TensorType, source.type.upper()),
    )


def _output(role):
    name, about = NAMES[role], _ABOUT[role]
    if role == "classes":
        made = info.CategoryTensorMd(name, about, [info.LabelFileMd(LABELS)]).create_metadata()
    elif role == "scores":
        made = info.ClassificationTensorMd(name, about, tensor_type=model_schema.TensorType.FLOAT32).create_metadata()
    else:
        made = info.TensorMd(name, about).create_metadata()
    if role == "boxes":
        made.content.contentPropertiesType = schema.ContentProperties.BoundingBoxProperties
        made.content.contentProperties = _box_properties()
    if role != "count":
        made.content.range = schema.ValueRangeT()
        made.content.range.min = made.content.range.max = _AXIS
    return made


def _box_properties():
    made = schema.BoundingBoxPropertiesT()
    made.index = _SIDES
    made.type = schema.BoundingBoxType.BOUNDARIES
    made.coordinateType = schema.CoordinateType.RATIO
    return made


def _group():
    made = schema.TensorGroupT()
    made.name = "detection_result"
    made.tensorNames = [NAMES[role] for role in ("boxes", "classes", "scores")]
    return made
