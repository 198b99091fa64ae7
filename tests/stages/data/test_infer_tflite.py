"""Inference with LiteRT: what the model finds, in whatever order and number format it tells it, and which models are refused."""

import struct

import numpy as np
import pytest
from _detection.postprocess import Attributes, Detections, postprocess
from _detection.resize import load_rgb, model_input, normalize, sha256
from _litert.detector import Interpreter, OpResolverType
from _litert.interface import Port, input_table
from _litert.layer_tensors import scope_of
from _tflite.lint import Expected, describe, lint
from _tflite.model import read_model
from _tflite.outputs import OF_OPERATOR, output_order
from ai_edge_litert import schema_py_generated as litert
from litert_operator import (
    AS_INT8,
    AS_UINT8,
    ATTRIBUTES,
    FLOAT,
    INT8,
    INT32,
    OUTPUTS,
    RAW_OUTPUTS,
    SIDE,
    UINT8,
    ModelBuilder,
    grid_anchors,
    run_model,
    small_detector,
)
from tflite_files import CLASSES, detections_of, same_detections, write_model

import detector_images

IMAGES = 40
HOW = Attributes(**ATTRIBUTES)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return detector_images.write_records(tmp_path_factory.mktemp("records"), CLASSES, count=IMAGES, shards=3)


@pytest.fixture
def infer(run_here, run_stage, tmp_path, records):
    """infer(bytes of a model, …): the stage's outcome. `spoil` may change the artifact's folder; other arguments change lint.json.

    apart: in a process of its own, whose log the outcome then has.
    """

    def call(content, data=records, split="val", cpus=1, kernels="fast", layers=0, by_name=False, spoil=None, apart=False, **changes):
        folder = tmp_path / ("model-%d" % len(list(tmp_path.glob("model-*"))))
        model = write_model(folder, content, **changes)
        if spoil is not None:
            spoil(folder)
        params = {
            "split": split,
            "shards": 0,
            "discard_image_pixels": True,
            "layers": layers,
            "kernels": kernels,
            "classes_by_name": by_name,
        }
        return (run_stage if apart else run_here)("infer-tflite", params, {"model": model, "records": data}, cpus=cpus)

    return call


def pixels_of(records, number):
    name = "%d.%s" % (number, "jpg" if number % 2 else "png")
    return model_input(load_rgb(f"{records['path']}/dataset/images/{name}"), SIDE, SIDE)


def of_operator(content, pixels):
    """What a model's own operator finds, its outputs being in the usual order and each box having one class."""
    boxes, classes, scores, count = (value[0] for value in run_model(content, pixels))
    number = int(count)
    return Detections(boxes[:number], classes[:number].astype(int), scores[:number])


def test_detections_are_the_operators_own(infer, records):
    content = small_detector().bytes()
    done = infer(content)
    assert done.code == 0, done.log
    found = detections_of(done)
    assert sorted(found) == list(range(1, IMAGES + 1))
    for number in (1, 3, 8):
        expected = of_operator(content, pixels_of(records, number))
        assert same_detections(found[number].detections, expected)
        assert len(expected.scores) > 0


def test_without_the_operator_the_raw_outputs_are_decoded_in_the_same_way(infer, records):
    content = small_detector(operator=False).bytes()
    done = infer(content)
    assert done.code == 0, done.log
    boxes, scores = run_model(content, pixels_of(records, 4))
    real = np.float32(0.05) * (boxes[0].astype(np.float32) - 128), scores[0].astype(np.float32) / 256
    assert same_detections(detections_of(done)[4].detections, postprocess(*real, grid_anchors(), HOW))


def test_the_operator_and_its_imitation_find_the_same_on_a_float_model(infer):
    # In a uint8 model the operator's anchors are uint8 too, so there the boxes differ a little.
    one, other = (detections_of(infer(small_detector(False, operator).bytes(), inference_type="float")) for operator in (True, False))
    assert all(same_detections(one[number].detections, other[number].detections, atol=1e-5) for number in one)
    assert sum(len(found.detections.scores) for found in one.values()) > 40


@pytest.mark.parametrize("operator", [True, False], ids=["with the operator", "raw outputs"])
def test_an_int8_model_finds_what_the_uint8_one_does(infer, operator):
    # The same steps, shifted; but int8 weights are symmetric, so that they are rounded otherwise.
    shown = {numbers: detections_of(infer(small_detector(numbers, operator).bytes())) for numbers in (AS_UINT8, AS_INT8)}
    strong = {
        numbers: [(number, int(found[number].detections.classes[0])) for number in found if found[number].detections.scores[0] > 0.9]
        for numbers, found in shown.items()
    }
    agreed = set(strong[AS_UINT8]) & set(strong[AS_INT8])
    assert len(agreed) > 0.9 * max(map(len, strong.values())) > 10


def test_a_float_model_reads_normalized_pixels(infer, records):
    content = small_detector(False).bytes()
    found = detections_of(infer(content, inference_type="float"))[2]
    assert same_detections(found.detections, of_operator(content, normalize(pixels_of(records, 2), 128, 128.0)))


GREY = np.arange(256)


@pytest.mark.parametrize(
    ("kind", "scale", "zero_point", "mean", "std", "expected"),
    [
        ("uint8", 1 / 128, 128, 128, 128.0, GREY),
        ("uint8", 1.0, 0, 0, 1, GREY),
        ("uint8", 1 / 256, 128, 128, 128.0, np.clip(2 * (GREY - 128) + 128, 0, 255)),
        ("int8", 1 / 128, 0, 128, 128.0, GREY - 128),
        ("int8", 1 / 255, -128, 0, 255.0, GREY - 128),
        ("float32", None, 0, 127.5, 127.5, normalize(GREY, 127.5, 127.5)),
    ],
    ids=["TOCO", "pixels", "a range that is cut", "int8", "int8 from 0 to 1", "float"],
)
def test_each_grey_level_is_told_in_the_inputs_own_steps(kind, scale, zero_point, mean, std, expected):
    table = input_table(Port(0, "x", kind, (1, 8, 8, 3), scale, zero_point), mean, std)
    assert table.dtype == kind
    np.testing.assert_array_equal(table[:, 0], expected)


@pytest.mark.parametrize("kind", [UINT8, INT8], ids=["uint8", "int8"])
def test_steps_are_those_of_litert_itself(kind):
    for seed in range(30):
        random = np.random.RandomState(seed)
        mean, std = (127.5, 127.5) if seed % 2 else (float(random.randint(0, 256)), float(random.randint(1, 200)))
        scale = float(np.float32(random.choice([1 / 64, 1 / 127.5, 1 / 128, 2 / 255, random.uniform(0.001, 0.05)])))
        zero_point = int(random.randint(0, 256)) - (0 if kind == UINT8 else 128)
        model = ModelBuilder()
        model.inputs, model.outputs = [model.tensor("real", [256], FLOAT)], [model.tensor("steps", [256], kind, None, scale, zero_point)]
        model.operator(litert.BuiltinOperator.QUANTIZE, model.inputs, model.outputs, litert.QuantizeOptionsT())
        interpreter = Interpreter(model_content=model.bytes(), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        interpreter.allocate_tensors()
        interpreter.set_tensor(0, normalize(GREY, mean, std))
        interpreter.invoke()
        table = input_table(Port(0, "x", "uint8" if kind == UINT8 else "int8", (1, 8, 8, 3), scale, zero_point), mean, std)
        np.testing.assert_array_equal(table[:, 0], interpreter.get_tensor(1))


def test_channels_may_have_means_of_their_own(infer, records):
    means = [123.68, 116.779, 103.939]
    content = small_detector(False).bytes()
    found = detections_of(infer(content, inference_type="float", mean=means, std=58.0))[5]
    pixels = pixels_of(records, 5)
    assert same_detections(found.detections, of_operator(content, (pixels.astype(np.float32) - np.float32(means)) / np.float32(58)))


def test_channels_of_a_quantized_input_may_have_means_of_their_own(infer, records):
    content = small_detector().bytes()
    found = detections_of(infer(content, mean=[128, 120, 128], std=128.0))[5]
    pixels = np.add(pixels_of(records, 5), [0, 8, 0])
    assert same_detections(found.detections, of_operator(content, pixels.clip(0, 255).astype(np.uint8)))


@pytest.mark.parametrize("room", [2, 5], ids=["as many as are told", "more than the model has"])
def test_several_classes_of_a_box_are_all_kept(infer, records, room):
    how = dict(ATTRIBUTES, max_classes_per_detection=room, nms_score_threshold=0.05)
    content = small_detector(attributes=how).bytes()
    found = detections_of(infer(content, decode=how))[1].detections
    _boxes, classes, scores, count = (value[0] for value in run_model(content, pixels_of(records, 1)))
    each = min(room, len(CLASSES))
    assert len(found.scores) == each * int(count) > each
    for place in range(int(count)):
        mine = slice(each * place, each * place + each)
        assert found.scores[mine].tolist() == scores[room * place :][:each].tolist()
        assert found.classes[mine].tolist() == classes[room * place :][:each].astype(int).tolist()


def test_regular_suppression_is_the_operators_own(infer, records):
    how = dict(ATTRIBUTES, use_regular_nms=True, max_classes_per_detection=2, detections_per_class=3, nms_score_threshold=0.05)
    content = small_detector(attributes=how).bytes()
    found = detections_of(infer(content, decode=how))[6].detections
    assert same_detections(found, of_operator(content, pixels_of(records, 6)))


@pytest.mark.parametrize("order", [(3, 2, 1, 0), (1, 3, 2, 0), (0, 2, 1, 3)])
def test_outputs_are_found_by_what_makes_them_whatever_their_order_and_names(infer, order):
    model, usual = small_detector(), small_detector().bytes()
    for number, index in enumerate(model.outputs):
        model.tensors[index].name = "StatefulPartitionedCall:%d" % (3 - number)
    model.outputs = [model.outputs[place] for place in order]
    content = model.bytes()
    assert describe(read_model(content))["output_order"] == [OF_OPERATOR[place] for place in order]
    one, other = detections_of(infer(content)), detections_of(infer(usual))
    assert all(same_detections(one[number].detections, other[number].detections) for number in one)


def raw(classes=CLASSES, names=RAW_OUTPUTS, turned=False, numbers=AS_UINT8):
    """A model with raw outputs, its outputs renamed and perhaps turned round; classes: names or columns of the scores."""
    model = small_detector(numbers, operator=False, classes=classes if isinstance(classes, int) else len(classes))
    for index, name in zip(model.outputs, names, strict=True):
        model.tensors[index].name = name
    model.outputs = model.outputs[::-1] if turned else model.outputs
    return model


@pytest.mark.parametrize("turned", [False, True], ids=["boxes first", "scores first"])
@pytest.mark.parametrize("names", [RAW_OUTPUTS, ["Identity", "Identity_1"]], ids=["the API's names", "other names"])
@pytest.mark.parametrize("columns", [3, 4], ids=["by their shapes", "both with four columns"])
def test_raw_outputs_are_found_by_shape_name_or_sigmoid(infer, turned, names, columns):
    # Four columns: of three classes and the background.
    order = output_order(read_model(raw(columns, names, turned).bytes()))
    assert order == (["scores", "boxes"] if turned else ["boxes", "scores"])
    one, other = detections_of(infer(raw(columns, names, turned).bytes())), detections_of(infer(raw(columns).bytes()))
    assert all(same_detections(one[number].detections, other[number].detections) for number in one)


def test_the_result_does_not_depend_on_the_number_of_processes(infer):
    content = small_detector().bytes()
    one, three = (infer(content, cpus=cpus, layers=2, apart=True) for cpus in (1, 3))
    names = sorted(path.name for path in one.output.iterdir())
    assert names == sorted(path.name for path in three.output.iterdir())
    for name in set(names) - {"timing.json"}:
        assert (one.output / name).read_bytes() == (three.output / name).read_bytes()
    assert three.json("timing.json")["processes"] == 3


def test_the_sha256_of_the_input_and_of_the_model_are_kept(infer, records):
    done = infer(small_detector().bytes())
    assert detections_of(done)[2].input_sha256 == sha256(pixels_of(records, 2))
    model = done.json("inference.json")["model"]
    assert (model["kind"], model["runtime"], model["input_size"], len(model["sha256"])) == ("tflite", "LiteRT", [SIDE, SIDE], 64)


def test_the_kernels_are_those_asked_for_and_are_named(infer):
    content = small_detector().bytes()
    told = {kernels: infer(content, kernels=kernels, apart=True) for kernels in ("reference", "fast")}
    assert [told[kernels].json("inference.json")["model"]["kernels"] for kernels in told] == ["reference", "fast"]
    assert "XNNPACK delegate" in told["fast"].log


def test_finding_nothing_is_a_warning(infer):
    how = dict(ATTRIBUTES, nms_score_threshold=2.0)
    done = infer(small_detector(attributes=how).bytes(), decode=how)
    assert [found for found in detections_of(done).values() if len(found.detections.scores)] == []
    assert "nothing was found" in done.result["warnings"][0]


def test_layers_are_told_by_the_scope_of_their_names_in_real_values(infer, records):
    model = small_detector()
    model.tensors[model.operators[1].outputs[0]].name = "BoxPredictor_0/Reshape"  # no layer: it has no weights
    content = model.bytes()
    done = infer(content, kernels="reference", layers=2)
    with np.load(done.output / "layers.npz") as layers:
        assert sorted(layers.files) == ["box", "class"]
        assert {name: layers[name].shape for name in layers.files} == {"box": (2, 144), "class": (2, 108)}
        model.outputs = [model.operators[0].outputs[0]]
        steps = run_model(model.bytes(), pixels_of(records, 2))[0]
        np.testing.assert_array_equal(layers["box"][1], np.float32(0.05) * (steps.astype(np.float32) - 128).reshape(-1))


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("FeatureExtractor/MobilenetV2/expanded_conv_2/project/add_fold", "FeatureExtractor/MobilenetV2/expanded_conv_2/project"),
        ("FeatureExtractor/MobilenetV2/expanded_conv_2/add", "FeatureExtractor/MobilenetV2/expanded_conv_2"),
        ("BoxPredictor_0/ClassPredictor/BiasAdd", "BoxPredictor_0/ClassPredictor"),
        ("ssd/Conv1_relu/Relu6;ssd/bn_Conv1/FusedBatchNormV3;ssd/Conv1/Conv2D", "ssd/Conv1_relu"),
        ("StatefulPartitionedCall/ssd/block_add/add", "ssd/block_add"),
        ("tfl.pseudo_qconst;ssd/block_1/Conv2D", "ssd/block_1"),
        ("StatefulPartitionedCall:0", None),
        ("concat", None),
        ("", None),
    ],
)
def test_a_layer_is_called_by_the_first_scope_in_its_tensors_name(name, scope):
    assert scope_of(name) == scope


def test_layers_do_not_change_what_is_found(infer):
    content = small_detector().bytes()
    one, other = infer(content), infer(content, layers=1)
    assert {path.name for path in other.output.iterdir()} - {path.name for path in one.output.iterdir()} == {"layers.npz"}
    assert (one.output / "inference.json").read_bytes() == (other.output / "inference.json").read_bytes()


def test_a_model_of_more_classes_is_told_by_name_where_that_is_asked_for(infer, tmp_path):
    fewer = detector_images.write_records(tmp_path / "fewer", ["triangle", "circle"], count=IMAGES)
    content = small_detector().bytes()
    refused = infer(content, data=fewer)
    assert refused.error["what"] == "the model and the dataset have different numbers of classes"
    done = infer(content, data=fewer, by_name=True, layers=1)
    assert done.json("inference.json")["classes"] == ["triangle", "circle"]
    assert (done.output / "layers.npz").is_file()
    for number, found in detections_of(infer(content)).items():
        expected = [
            (["triangle", "circle"].index(CLASSES[label]), score)
            for label, score in zip(found.detections.classes.tolist(), found.detections.scores.tolist(), strict=True)
            if CLASSES[label] != "square"
        ]
        ours = detections_of(done)[number].detections
        assert list(zip(ours.classes.tolist(), ours.scores.tolist(), strict=True)) == expected


def test_by_name_too_a_class_that_the_model_does_not_know_is_refused(infer, tmp_path):
    other = detector_images.write_records(tmp_path / "other", ["circle", "star"], count=2)
    assert infer(small_detector().bytes(), data=other, by_name=True).error["found"] == "no star"


def test_labels_of_another_dataset_are_refused(infer, tmp_path):
    other = detector_images.write_records(tmp_path / "other", ["circle", "square", "star"], count=1)
    error = infer(small_detector().bytes(), data=other).error
    assert (error["where"], error["expected"], error["found"]) == ("labels.json, class 3", "star", "triangle")


def test_an_unknown_split_is_refused(infer):
    assert "no split test" in infer(small_detector().bytes(), split="test").error["what"]


def changed(change, **how):
    model = small_detector(**how)
    change(model)
    return model.bytes()


def without_an_output(model):
    model.outputs = model.outputs[:1]


def with_a_second_input(model):
    model.inputs = [*model.inputs, model.tensor("more", [1], FLOAT)]


def with_an_unknown_operator(model):
    model.operator(litert.BuiltinOperator.CUSTOM, [0], [model.tensor("x", [1], FLOAT)], custom="Tan")


def with_two_operators(model):
    model.postprocess(model.operators[-1].inputs, ATTRIBUTES)


def without_anchors(model):
    model.operators[-1].inputs = model.operators[-1].inputs[:2]


def same_from_both(model):
    """Two raw outputs of four columns, neither out of a sigmoid."""
    boxes = model.operators[1]
    model.outputs = [boxes.outputs[0], model.tensor("again", [1, 36, 4], UINT8, None, 0.05, 128)]
    model.operator(litert.BuiltinOperator.RELU, [boxes.outputs[0]], model.outputs[1:])
    model.tensors[model.outputs[0]].name = "first"


def of_type(kind):
    def change(model):
        model.tensors[model.inputs[0]].type = kind

    return change


def of_shape(*shape):
    def change(model):
        model.tensors[model.inputs[0]].shape = list(shape)

    return change


def without_scale(model):
    model.tensors[model.inputs[0]].quantization = None


def removed(name):
    return lambda folder: (folder / name).unlink()


NO_DETECTOR = "the model's outputs are not a detector's"
NO_PICTURE = "the model's input is no picture"
GOOD = small_detector().bytes()


@pytest.mark.parametrize(
    ("content", "changes", "says", "found"),
    [
        (changed(without_an_output), {}, "outputs are not those of its post-process operator", "boxes"),
        (changed(without_an_output, operator=False), {}, NO_DETECTOR, "raw_outputs/box_encodings [1, 36, 4]"),
        (changed(same_from_both, operator=False), {}, "boxes and scores cannot be told apart", "first [1, 36, 4], again [1, 36, 4]"),
        (raw(2, ["a", "b"]).bytes(), {}, "labels do not fit the model's scores", "[1, 36, 2]"),
        (changed(with_two_operators), {}, "several post-process operators", "2"),
        (changed(without_anchors), {}, "lacks an input", "[5, 11]"),
        (changed(with_a_second_input), {}, "has not one input", "2"),
        (changed(with_an_unknown_operator), {}, "LiteRT cannot load the model", None),
        (changed(of_type(INT32)), {}, "another type than pictures", "int32 [1, 24, 24, 3]"),
        (changed(without_scale), {}, "input has no scale", "uint8 [1, 24, 24, 3]"),
        (changed(of_shape(1, 24, 24, 1)), {}, NO_PICTURE, "uint8 [1, 24, 24, 1]"),
        (changed(of_shape(24, 24, 3)), {}, NO_PICTURE, "uint8 [24, 24, 3]"),
        (changed(of_shape(2, 24, 24, 3)), {}, NO_PICTURE, "uint8 [2, 24, 24, 3]"),
        (GOOD, {"input_size": [30, 24]}, "lint.json describes another model", "[30, 24]"),
        (GOOD, {"inputs": []}, "lint.json describes another model", "[]"),
        (GOOD, {"decode": dict(ATTRIBUTES, num_classes=2)}, "another attribute than lint.json says", "2"),
        (GOOD, {"decode": {}}, "does not say how its boxes are decoded", None),
        (GOOD, {"classes": ["circle", "square"]}, "labels are not as many as the model's classes", "2"),
        (GOOD, {"anchors": np.zeros([35, 4], np.float32)}, "anchors are not the model's", "float32 [35, 4]"),
        (raw().bytes(), {"anchors": np.zeros([36, 4])}, "anchors are not the model's", "float64 [36, 4]"),
        (raw().bytes(), {"spoil": removed("anchors.npy")}, "anchors cannot be read", None),
        (GOOD, {"usable": False, "unusable_because": "it has dummy ranges"}, "not for use", "it has dummy ranges"),
    ],
)
def test_a_model_that_is_not_what_it_says_is_refused(infer, content, changes, says, found):
    done = infer(content, **changes)
    assert done.code == 1
    assert says in done.error["what"], done.error
    assert done.error["remedy"]
    assert found in (None, done.error["found"])
    assert not list(done.output.iterdir())


@pytest.mark.parametrize("operator", [True, False])
def test_outputs_that_are_not_finite_are_an_error_that_names_the_record(infer, operator):
    model = small_detector(False, operator)
    place = model.named("box/bias").buffer
    model.buffers[place] = np.full(4, np.nan, np.float32).tobytes()
    done = infer(model.bytes(), inference_type="float")
    assert done.error["what"] == "the model puts out values that are not finite"
    assert done.error["where"].endswith("val.record-00000-of-00003, record 1")


def test_a_real_model_decoded_here_equals_its_own_operator(shared_data):
    # Its anchors are the operator's third input, quantized; the raw outputs are the first two.
    content = (shared_data("tflite") / "ssd_mobilenet_v1_uint8_postprocess.tflite").read_bytes()
    # Its threshold of 0.3 would leave nothing of a picture of noise.
    content = content.replace(struct.pack("<f", 0.3), struct.pack("<f", 1e-8))
    model = read_model(content)
    how = Attributes(**{name: describe(model)["postprocess"][name] for name in Attributes._fields})
    assert how.nms_score_threshold < 1e-7
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    for seed in range(3):
        interpreter.set_tensor(model.inputs[0], detector_images.picture(seed, 300, 300)[None])
        interpreter.invoke()
        tensors = [model.tensors[index] for index in model.operators[-1].inputs]
        boxes, scores, anchors = (
            np.float32(tensor.scales[0]) * (interpreter.get_tensor(tensor.index).astype(np.float32) - tensor.zero_points[0])
            for tensor in tensors
        )
        found = postprocess(boxes[0], scores[0], anchors, how)
        theirs = [interpreter.get_tensor(index) for index in model.outputs]
        assert len(found.scores) == theirs[3][0] == 10
        np.testing.assert_array_equal(found.scores, theirs[2][0])
        np.testing.assert_array_equal(found.classes, theirs[1][0].astype(int))
        np.testing.assert_allclose(found.boxes, theirs[0][0], atol=1e-5)


def test_the_lint_passes_a_real_model(shared_data):
    content = (shared_data("tflite") / "ssd_mobilenet_v1_uint8_postprocess.tflite").read_bytes()
    attributes = {"max_detections": 10, "num_classes": 1, "nms_score_threshold": 0.3, "use_regular_nms": False}
    report = lint(content, Expected("uint8", "normalized_input_image_tensor", [1, 300, 300, 3], 128, 128.0, OUTPUTS, attributes))
    assert {found["op"]: found["count"] for found in report["operators"]}["TFLite_Detection_PostProcess"] == 1
    assert report["output_order"] == list(OF_OPERATOR)
