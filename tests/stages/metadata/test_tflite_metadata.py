"""Metadata in a model: the official readers read it, the Task Library runs the model by it, and the model's own bytes stay."""

import io
import json
import random

import flatbuffers
import numpy as np
import pytest
from _runtime import StageError
from _tflite.model import read_model
from app_models import CLASSES, FACTS, compiled_detector, inside
from litert_operator import AS_UINT8, SIDE, run_model, small_detector
from litert_operator import schema as litert_schema
from tensorflow_lite_support.metadata import metadata_schema_py_generated as metadata_schema
from tensorflow_lite_support.metadata import schema_py_generated as model_schema
from tensorflow_lite_support.metadata.cc.python import _pywrap_metadata_version as parser
from tensorflow_lite_support.metadata.python.metadata import MetadataDisplayer, MetadataPopulator
from tensorflow_lite_support.metadata.python.metadata_writers import image_classifier, object_detector
from tflite_support.task import core, processor, vision

from stage_helpers import load, shared

place = load("export-apps", "metadata_place")
ORDERS = [(0, 1, 2, 3), (2, 0, 3, 1), (3, 2, 1, 0)]
ROLES = ("boxes", "classes", "scores", "count")
NAMES = {"boxes": "location", "classes": "category", "scores": "score", "count": "number of detections"}
LABELS = "".join(name + "\n" for name in CLASSES).encode()


def ordered(order, numbers=AS_UINT8):
    model = small_detector(numbers)
    model.outputs = [model.outputs[number] for number in order]
    return model, {"outputs": {role: order.index(number) for number, role in enumerate(ROLES)}}


@pytest.fixture
def android(export):
    """android(model, …): the bytes of the model with metadata."""

    def call(model=None, **facts):
        outcome = export(model, programs=["android"], **facts)
        assert outcome.code == 0, outcome.log
        return (outcome.output / "android" / "assets" / "model.tflite").read_bytes()

    return call


def told(content):
    return json.loads(MetadataDisplayer.with_model_buffer(content).get_metadata_json())


@pytest.mark.parametrize("order", ORDERS)
def test_the_official_reader_reads_which_output_is_which(android, order):
    model, facts = ordered(order)
    outputs = told(android(model, **facts))["subgraph_metadata"][0]["output_tensor_metadata"]
    assert [each["name"] for each in outputs] == [NAMES[ROLES[number]] for number in order]
    box = next(each for each in outputs if each["name"] == "location")
    properties = box["content"]["content_properties"]
    assert (properties["index"], properties["type"], properties.get("coordinate_type", "RATIO")) == ([1, 0, 3, 2], "BOUNDARIES", "RATIO")
    category = next(each for each in outputs if each["name"] == "category")
    files = [(each["name"], each["type"]) for each in category["associated_files"]]
    assert files == [("labels.txt", "TENSOR_VALUE_LABELS")]


@pytest.mark.parametrize(
    ("numbers", "facts", "mean", "std", "limits"),
    [
        (AS_UINT8, {}, [128], [128], ([0], [255])),
        (False, {"mean": 127.5, "std": 127.5}, [127.5], [127.5], ([-1], [1])),
        (False, {"mean": [10, 20, 30], "std": [1, 2, 4]}, [10, 20, 30], [1, 2, 4], ([-10, -10, -7.5], [245, 117.5, 56.25])),
        (False, {"mean": [10, 20, 30], "std": 2}, [10, 20, 30], [2, 2, 2], ([-5, -10, -15], [122.5, 117.5, 112.5])),
    ],
)
def test_the_normalization_is_that_of_model_json(android, numbers, facts, mean, std, limits):
    source = told(android(small_detector(numbers), **facts))["subgraph_metadata"][0]["input_tensor_metadata"]
    assert len(source) == 1
    options = source[0]["process_units"][0]["options"]
    assert (options["mean"], options["std"]) == (mean, std)
    assert (source[0]["stats"]["min"], source[0]["stats"]["max"]) == limits
    assert source[0]["content"]["content_properties"]["color_space"] == "RGB"


def test_the_labels_lie_inside_and_are_the_packages(android):
    content = android()
    shown = MetadataDisplayer.with_model_buffer(content)
    assert shown.get_packed_associated_file_list() == ["labels.txt"]
    assert shown.get_associated_file_buffer("labels.txt") == LABELS == inside(content)[0]["labels.txt"]


def test_the_parsers_version_is_what_the_official_function_finds(android):
    metadata = bytes(MetadataDisplayer.with_model_buffer(android()).get_metadata_buffer())
    assert told(android())["min_parser_version"] == parser.GetMinimumMetadataParserVersion(metadata)


def test_it_says_what_the_official_writer_says_where_that_knows_the_order(android, tmp_path):
    """It goes by tensor indices, which the small detector has in the operator's order."""
    (tmp_path / "labels.txt").write_bytes(LABELS)
    content = small_detector().bytes()
    official = object_detector.MetadataWriter.create_for_inference(bytearray(content), [128.0], [128.0], [str(tmp_path / "labels.txt")])
    ours, theirs = (strip(told(each)) for each in (android(), bytes(official.populate())))
    assert ours == theirs


def strip(metadata):
    """Without names and descriptions of the whole, which are words, and without the range of scores, which ours alone tells."""
    subgraph = metadata["subgraph_metadata"][0]
    for each in [*subgraph["input_tensor_metadata"], *subgraph["output_tensor_metadata"]]:
        each.pop("description")
        each.pop("stats") if each["name"] == "score" else None
        for file in each.get("associated_files", []):
            file.pop("description")
    return metadata["min_parser_version"], subgraph


@pytest.mark.parametrize("numbers", [AS_UINT8, False])
@pytest.mark.parametrize("order", ORDERS)
def test_the_model_runs_as_before(android, numbers, order):
    model, facts = ordered(order, numbers)
    picture = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    given = picture if numbers else ((picture.astype(np.float32) - 128) / 128)
    before, after = run_model(model.bytes(), given), run_model(android(model, **facts), given)
    assert all(np.array_equal(first, second) for first, second in zip(before, after))
    assert before[order.index(3)][0] > 2


@pytest.mark.parametrize("numbers", [AS_UINT8, False])
@pytest.mark.parametrize("order", ORDERS)
def test_the_task_library_finds_by_the_metadata_what_the_model_puts_out(android, tmp_path, numbers, order):
    model, facts = ordered(order, numbers)
    (tmp_path / "model.tflite").write_bytes(android(model, **facts))
    picture = np.random.default_rng(2).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    options = vision.ObjectDetectorOptions(
        core.BaseOptions(file_name=str(tmp_path / "model.tflite")), processor.DetectionOptions(max_results=-1)
    )
    found = vision.ObjectDetector.create_from_options(options).detect(vision.TensorImage.create_from_array(picture)).detections
    given = picture[np.newaxis] if numbers else (picture[np.newaxis].astype(np.float32) - 128) / 128
    outputs = run_model(model.bytes(), given)
    boxes, classes, scores, count = (outputs[order.index(number)] for number in range(4))
    assert len(found) == int(count[0]) > 2
    for number, each in enumerate(found):
        assert each.categories[0].category_name == CLASSES[int(classes[0][number])]
        assert each.categories[0].score == pytest.approx(scores[0][number], abs=0.02)
        top, left, bottom, right = boxes[0][number] * SIDE
        box = each.bounding_box
        assert (box.origin_x, box.origin_y) == pytest.approx((left, top), abs=1)
        assert (box.width, box.height) == pytest.approx((right - left, bottom - top), abs=1.5)


def unpacked(content):
    """The model in the official object form, without its metadata."""
    model = model_schema.ModelT.InitFromObj(model_schema.Model.GetRootAsModel(bytearray(content), 0))
    entries = [each for each in model.metadata or [] if each.name != b"TFLITE_METADATA"]
    own = {each.buffer for each in model.metadata or [] if each.name == b"TFLITE_METADATA"}
    model.buffers = [each for number, each in enumerate(model.buffers) if number not in own]
    model.metadata = entries or None
    return model


def same(first, second):
    """Whether two objects of the schema hold the same, all the way down."""
    if isinstance(first, np.ndarray):
        return np.array_equal(first, second)
    if isinstance(first, list):
        return isinstance(second, list) and len(first) == len(second) and all(map(same, first, second))
    if hasattr(first, "__dict__"):
        return type(first) is type(second) and all(same(value, getattr(second, name)) for name, value in vars(first).items())
    return first == second


def meaning(records):
    """Tensors or operators without where in the file they stand."""
    return [{name: value for name, value in each._asdict().items() if not name.endswith("place")} for each in records]


REAL = ["ssd_mobilenet_v1_uint8_postprocess.tflite"]
PAIRS = [
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v1_0.25_128_quant_edgetpu",
    "keras_lstm_mnist_ptq_edgetpu",
    "deeplabv3_mnv2_dm05_pascal_quant_edgetpu",
]


def real(name):
    return (shared() / "data" / name).read_bytes()


@pytest.mark.parametrize("name", ["tflite/" + name for name in REAL] + ["edgetpu/pairs/%s.tflite" % name for name in PAIRS])
def test_every_byte_of_a_real_model_stays_and_at_its_alignment(name):
    content = place.without_files(real(name))  # some have metadata and labels already
    made = place.with_metadata(real(name), b"\x10\0\0\0M001" + bytes(8), {"labels.txt": b"one\n"})
    assert made.index(content) % place.ALIGNMENT == 0
    assert same(unpacked(content), unpacked(made))
    ours, theirs = read_model(made), read_model(content)
    assert meaning(ours.tensors) == meaning(theirs.tensors)
    assert meaning(ours.operators) == meaning(theirs.operators)
    assert (ours.inputs, ours.outputs, ours.description) == (theirs.inputs, theirs.outputs, theirs.description)


@pytest.mark.parametrize("name", PAIRS[:2])
def test_a_real_classifier_and_its_compiled_form_take_the_official_writers_metadata(name, tmp_path):
    content = real("edgetpu/pairs/%s.tflite" % name)
    (tmp_path / "labels.txt").write_text("".join("class %d\n" % number for number in range(1001)))
    writer = image_classifier.MetadataWriter.create_for_inference(bytearray(content), [128.0], [128.0], [str(tmp_path / "labels.txt")])
    official = bytes(writer.populate())
    metadata = bytes(MetadataDisplayer.with_model_buffer(official).get_metadata_buffer())
    made = place.with_metadata(content, metadata, {"labels.txt": (tmp_path / "labels.txt").read_bytes()})
    assert told(made) == told(official)
    assert same(unpacked(made), unpacked(official))
    if not name.endswith("edgetpu"):
        picture = np.random.default_rng(3).integers(0, 256, (1, 128, 128, 3), np.uint8)
        assert np.array_equal(run_model(made, picture)[0], run_model(content, picture)[0])


def test_the_official_populator_reads_the_result_and_can_replace_what_is_in_it(android):
    content = android()
    populator = MetadataPopulator.with_model_buffer(content)
    assert populator.get_packed_associated_file_list() == ["labels.txt"]
    populator.load_metadata_buffer(bytearray(MetadataDisplayer.with_model_buffer(content).get_metadata_buffer()))
    populator.populate()
    assert told(bytes(populator.get_model_buffer())) == told(content)


def test_metadata_and_files_of_before_are_replaced(android):
    first = android()
    again = place.with_metadata(first, b"\x10\0\0\0M001" + bytes(24), {"other.txt": b"x"})
    model = model_schema.Model.GetRootAsModel(bytearray(again), 0)
    names = [model.Metadata(number).Name() for number in range(model.MetadataLength())]
    assert names.count(b"TFLITE_METADATA") == 1
    assert model.BuffersLength() == model_schema.Model.GetRootAsModel(bytearray(first), 0).BuffersLength()
    assert model.Buffers(model.Metadata(0).Buffer()).DataAsNumpy().tobytes() == b"\x10\0\0\0M001" + bytes(24)
    assert list(inside(again)[0]) == ["other.txt"]
    assert read_model(again).outputs == read_model(first).outputs


def with_entry(content, name):
    """The model, packed by the official schema with a metadata entry of another name."""
    model = model_schema.ModelT.InitFromObj(model_schema.Model.GetRootAsModel(bytearray(content), 0))
    entry, buffer = model_schema.MetadataT(), model_schema.BufferT()
    buffer.data = np.frombuffer(b"1.5.0", np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = name, len(model.buffers) - 1
    model.metadata = [entry]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_what_the_converter_wrote_beside_it_stays(android):
    content = with_entry(small_detector().bytes(), "min_runtime_version")
    made = android(content)
    model = model_schema.Model.GetRootAsModel(bytearray(made), 0)
    entries = {model.Metadata(number).Name(): model.Buffers(model.Metadata(number).Buffer()).DataAsNumpy().tobytes() for number in range(2)}
    assert entries[b"min_runtime_version"] == b"1.5.0"
    assert metadata_schema.ModelMetadata.ModelMetadataBufferHasIdentifier(entries[b"TFLITE_METADATA"], 0)


def attempt(content):
    """Whether metadata could be put into it, so that it can be read, or what the error lacks."""
    try:
        read_model(place.with_metadata(content, b"\x10\0\0\0M001", {}, "mine.tflite"))
    except StageError as error:
        return "refused" if error.where == "mine.tflite" and error.remedy else "refused without a place or a remedy"
    return "made"


def test_damage_is_an_error_that_names_the_file_whatever_it_is():
    content, chance = small_detector().bytes(), random.Random(1)
    outcomes = set()
    for number in range(400):
        damaged = bytearray(content[: chance.randrange(8, len(content))] if number % 2 else content)
        for _ in range(chance.randrange(1, 6)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        outcomes.add(attempt(bytes(damaged)))
    assert outcomes == {"made", "refused"}


def test_weights_behind_the_flatbuffer_whose_places_would_be_wrong_are_refused():
    """As in models of more than 2 GB."""
    model = litert_schema.ModelT.InitFromObj(litert_schema.Model.GetRootAs(bytearray(small_detector().bytes()), 0))
    model.buffers[1].offset, model.buffers[1].size = 4096, 16
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(StageError) as caught:
        place.with_metadata(bytes(builder.Output()), b"\x10\0\0\0M001", {}, "mine.tflite")
    assert (caught.value.where, "its weights lie outside" in caught.value.found) == ("mine.tflite", True)


def test_a_zip_at_the_end_is_known_and_a_model_without_one_is_left_as_it_is():
    content = small_detector().bytes()
    assert place.without_files(content) == content
    made = place.with_metadata(content, b"\x10\0\0\0M001", {"a.txt": b"a"})
    assert place.without_files(made).endswith(content)
    assert place.without_files(b"PK\5\6" + bytes(18)) == b"PK\5\6" + bytes(18)
    assert io.BytesIO(made).read(8)[4:] == b"TFL3"


def test_a_compiled_model_has_the_same_metadata(export, compiled):
    outcome = export(compiled=compiled)
    made = (outcome.output / "task-library" / "model_edgetpu.tflite").read_bytes()
    assert told(made) == told((outcome.output / "android" / "assets" / "model.tflite").read_bytes())
    assert inside(made)[0] == {"labels.txt": LABELS}
    assert same(unpacked(made), unpacked(compiled_detector().bytes()))
    assert FACTS["classes"] == CLASSES
