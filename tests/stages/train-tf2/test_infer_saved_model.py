"""Inference with a SavedModel: its raw outputs decoded as the .tflite's operator does it, or the API's own detections."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from _detection.layer_samples import read_samples, sample
from _detection.postprocess import attributes, postprocess
from _detection.resize import load_rgb, model_input, normalize, resize_bilinear, sha256
from _litert.layer_tensors import layer_ports
from _odapi.config_text import parse_config
from _runtime import StageError
from _tflite.model import read_model
from freeze_fixtures_tf2 import ENVIRONMENT, INFER, converted_tiny, found_in, frozen_tiny, val_records, write_by_hand
from object_detection.builders import model_builder
from tiny_config_tf2 import CLASSES, SIZE, config_text

import detector_images
from stage_helpers import artifact, load, run_program

saved_detector = load("infer-saved-model", "saved_detector")
keras_layers = load("infer-saved-model", "keras_layers").keras_layers


@pytest.fixture(scope="module")
def frozen(tmp_path_factory, tiny_checkpoint_tf2):
    return frozen_tiny(tmp_path_factory, tiny_checkpoint_tf2)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return val_records(tmp_path_factory)


def infer(folder, frozen, records, cpus, **params):
    """The stage's program in a process of its own: this one has run TensorFlow, and what it forks could wait for ever."""
    inputs = {"model": artifact("freeze-tf2", "saved-model", frozen), "records": records}
    return run_program(folder / "run", "infer-saved-model", dict(INFER, **params), inputs, cpus, env=ENVIRONMENT)


@pytest.fixture(scope="module")
def raw(tmp_path_factory, frozen, records):
    """A run on the raw outputs, in two processes, with samples of layers."""
    return infer(tmp_path_factory.mktemp("raw"), frozen, records, 2, layers=2)


@pytest.fixture(scope="module")
def api(tmp_path_factory, frozen, records):
    """A run of the API's own model, in two processes, with samples of layers."""
    return infer(tmp_path_factory.mktemp("api"), frozen, records, 2, layers=1, form="inference-model")


def pixels_of(records, number):
    """The model's input for an image of the records, read from its file."""
    (path,) = Path(records["path"]).glob(f"dataset/images/{number}.*")
    return model_input(load_rgb(path), SIZE, SIZE)


def files_of(done):
    assert done.code == 0, done.log
    return {path.name: path.read_bytes() for path in done.output.iterdir() if path.name != "timing.json"}


def test_raw_outputs_are_decoded_as_the_operator_does_it(raw, frozen, records):
    found, graph = found_in(raw), json.loads((frozen / "graph.json").read_text())
    assert [image.image_id for image in found] == [1, 2, 3, 4, 5, 6]
    function = tf.saved_model.load(str(frozen / "saved_model")).signatures["raw_outputs"]
    for image in found:
        pixels = pixels_of(records, image.image_id)
        outputs = function(tf.constant(normalize(pixels, 127.5, 127.5)))
        values = [outputs[graph["raw_outputs"][name]][0].numpy() for name in ("boxes", "scores")]
        expected = postprocess(*values, np.load(frozen / "anchors.npy"), attributes(graph["decode"], "graph.json"))
        assert image.detections.scores == pytest.approx(expected.scores, abs=1e-4)
        assert len(expected.scores) == 20
        assert image.input_sha256 == sha256(pixels)


def test_the_apis_own_model_finds_what_it_does_in_tensorflow(api, frozen, records):
    model = tf.saved_model.load(str(frozen / "inference_model"))
    for image in found_in(api):
        expected = model(tf.constant(pixels_of(records, image.image_id)))
        number = int(expected["num_detections"][0])
        assert image.detections.scores == pytest.approx(expected["detection_scores"][0][:number].numpy(), abs=1e-4)
        assert image.detections.boxes.min() >= 0
        assert image.detections.boxes.max() <= 1


@pytest.mark.parametrize("size", [(70, 50), (300, 200), (97, 191)])
def test_the_api_resizes_as_inference_does(size):
    source = detector_images.picture(1, *size)
    model = model_builder.build(parse_config(config_text(), "tiny").model, is_training=False)
    found = model.preprocess(tf.constant(source[None], tf.float32))[0][0].numpy()
    assert found == pytest.approx(resize_bilinear(source, SIZE, SIZE) / 127.5 - 1, abs=1e-6)


def test_the_index_tells_the_model(raw, api):
    told = [done.json("inference.json")["model"] for done in (raw, api)]
    assert [model["kind"] for model in told] == ["frozen-graph", "saved-model"]
    assert [model["nms"] for model in told] == ["class-agnostic", "per class"]
    assert told[0]["sha256"] != told[1]["sha256"]
    assert all((model["runtime"], model["input_size"]) == ("TensorFlow", [SIZE, SIZE]) for model in told)


@pytest.mark.slow
def test_the_result_does_not_depend_on_the_number_of_processes(tmp_path, frozen, records, raw):
    assert files_of(infer(tmp_path, frozen, records, 1, layers=2)) == files_of(raw)


def test_all_layers_are_called_as_in_the_converted_model(raw, tmp_path_factory, tiny_checkpoint_tf2):
    model = converted_tiny(tmp_path_factory, tiny_checkpoint_tf2)
    ports = layer_ports(read_model((model / "model.tflite").read_bytes()))
    samples = read_samples(raw.output)
    assert set(samples) == set(ports)
    assert len(ports) == 70


@pytest.mark.slow
def test_a_layers_samples_are_those_of_the_float_model(raw, frozen, records, run_here):
    inputs = {"model": artifact("freeze-tf2", "saved-model", frozen), "records": None}
    params = {"quantization": "float", "input_type": "uint8", "representative_images": 1, "seed": 1, "seconds": 300}
    content = (run_here("convert-tf2", params, inputs).output / "model.tflite").read_bytes()
    interpreter = tf.lite.Interpreter(
        model_content=content,
        num_threads=1,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], normalize(pixels_of(records, 1), 127.5, 127.5))
    interpreter.invoke()
    samples, ports = read_samples(raw.output), layer_ports(read_model(content))
    assert set(samples) == set(ports)
    for name, port in ports.items():
        value = sample(name, interpreter.get_tensor(port.index))
        assert samples[name][0] == pytest.approx(value, abs=1e-3 * max(1.0, float(np.abs(value).max()))), name


def test_the_apis_own_model_shows_the_same_layers_up_to_its_outputs(api, raw):
    shared = set(read_samples(api.output)) & set(read_samples(raw.output))
    assert len(shared) == 70


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (["conv", "norm", "relu"], ["relu"]),
        (["conv", "norm"], ["conv"]),
        (["conv", "relu"], ["relu"]),
        (["depthwise", "norm", "relu"], ["relu"]),
        (["depthwise", "norm"], ["norm"]),
        (["depthwise"], ["depthwise"]),
    ],
)
def test_a_layer_goes_by_what_the_converter_calls_it(layers, names):
    def build():
        kinds = {
            "conv": lambda: tf.compat.v1.nn.conv2d(value, tf.zeros([1, 1, 3, 3]), 1, "SAME", name="net/conv/Conv2D"),
            "depthwise": lambda: tf.compat.v1.nn.depthwise_conv2d_native(
                value, tf.zeros([1, 1, 3, 1]), [1, 1, 1, 1], "SAME", name="net/depthwise/depthwise"
            ),
            "norm": lambda: tf.compat.v1.nn.fused_batch_norm(
                value, tf.ones([3]), tf.zeros([3]), tf.zeros([3]), tf.ones([3]), is_training=False, name="net/norm/FusedBatchNormV3"
            )[0],
            "relu": lambda: tf.nn.relu6(value, name="net/relu/Relu6"),
        }
        value = tf.compat.v1.placeholder(tf.float32, [1, 8, 8, 3])
        for each in layers:
            value = kinds[each]()
        return value

    with tf.Graph().as_default() as graph:
        end = build()
        found = keras_layers(graph.as_graph_def(), [end.op.name])
    assert list(found) == [f"net/{name}" for name in names]
    assert list(found.values()) == [end.name]


def spoil(folder, **changes):
    graph = json.loads((folder / "graph.json").read_text())
    graph.update(changes)
    return graph


def detector(folder, graph, tmp_path, form="raw-outputs"):
    return saved_detector.saved_detector(folder, graph, form, tmp_path / "model.pb")


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    return write_by_hand(tmp_path_factory.mktemp("by-hand"))


def test_a_form_that_was_not_frozen_is_refused_by_the_parameter_that_makes_it(by_hand, tmp_path):
    with pytest.raises(StageError, match="not frozen in this form") as caught:
        detector(by_hand, spoil(by_hand), tmp_path, "inference-model")
    assert "freeze-tf2.inference_model" in caught.value.remedy


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"input": {"shape": [1, 64, 64, 3], "mean": 0, "std": 1}}, "input is not the one described"),
        ({"raw_outputs": {"boxes": "boxes", "scores": "raw_outputs/class_predictions"}}, "lacks an output"),
        ({"anchors": 17}, "the anchors are not the model's"),
    ],
)
def test_a_saved_model_that_is_not_the_one_described_is_refused(by_hand, tmp_path, changes, says):
    with pytest.raises(StageError, match=says):
        detector(by_hand, spoil(by_hand, **changes), tmp_path)


@pytest.mark.slow
def test_a_saved_model_that_cannot_be_read_is_refused(by_hand, tmp_path):
    folder = shutil.copytree(by_hand, tmp_path / "copied")
    next(folder.glob("saved_model/variables/*.index")).write_bytes(b"")
    with pytest.raises(StageError, match="cannot be read"):
        detector(folder, spoil(folder), tmp_path)


def test_records_with_another_label_map_are_refused(run_here, by_hand, tmp_path):
    other = detector_images.write_records(tmp_path, [*CLASSES[:2], "cross"], 1)
    done = run_here("infer-saved-model", INFER, {"model": artifact("freeze-tf2", "saved-model", by_hand), "records": other})
    assert "name a class differently" in done.error["what"]
