"""The patch series of the train-tf2 image: what it changes in the files of the packages, and what works only with it."""

import hashlib
import importlib
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from _detection.resize import load_rgb

from stage_helpers import ROOT

SERIES = ROOT / "patches" / "tf2-object-detection"
SITE_PACKAGES = Path(importlib.util.find_spec("object_detection").origin).parents[1]
PROTOS = SITE_PACKAGES / "object_detection" / "protos"


def patch_files():
    return [SERIES / line for line in (SERIES / "series").read_text().split()]


def targets():
    """{path: {"before": sha256, "after": sha256}}."""
    return json.loads((SERIES / "targets.json").read_text())["targets"]


def unapply(lines, hunks):
    """`lines` as they were before the hunks of a unified diff: each must be found at exactly its place, with exactly its lines."""
    moved = 0
    for at in range(1, len(hunks), 5):
        start = int(hunks[at + 2]) - 1 + moved
        body = hunks[at + 4].splitlines()
        old = [line[1:] for line in body if line[:1] in (" ", "-", "")]
        new = [line[1:] for line in body if line[:1] in (" ", "+", "")]
        assert lines[start : start + len(new)] == new
        lines[start : start + len(new)] = old
        moved += len(old) - len(new)
    return lines


def originals():
    """{path: bytes} of the patched files as the packages have them; their line ends stay what they are."""
    found = {}
    for patch in patch_files():
        files = re.split(r"^--- \S+\n\+\+\+ b/(\S+)\n", patch.read_text(), flags=re.MULTILINE)
        for path, text in zip(files[1::2], files[2::2]):
            lines = (SITE_PACKAGES / path).read_bytes().decode().splitlines(keepends=True)
            ends = {line[len(line.rstrip("\r\n")) :] for line in lines}
            (end,) = ends
            hunks = re.split(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@.*\n", text, flags=re.MULTILINE)
            before = unapply([line.rstrip("\r\n") for line in lines], hunks)
            found[path] = "".join(line + end for line in before).encode()
    return found


def test_the_installed_files_are_those_that_the_series_leaves():
    assert {path: hashlib.sha256((SITE_PACKAGES / path).read_bytes()).hexdigest() for path in targets()} == {
        path: digests["after"] for path, digests in targets().items()
    }


def test_taking_the_patches_back_gives_the_files_of_the_packages():
    assert {path: hashlib.sha256(data).hexdigest() for path, data in originals().items()} == {
        path: digests["before"] for path, digests in targets().items()
    }


class TestProtobuf:
    def test_without_the_patch_protobuf_refuses_the_generated_modules(self, tmp_path):
        shutil.copytree(str(PROTOS), str(tmp_path / "object_detection" / "protos"))
        (tmp_path / "object_detection" / "protos" / "__init__.py").write_bytes(originals()["object_detection/protos/__init__.py"])
        (tmp_path / "object_detection" / "__init__.py").write_text("")
        done = subprocess.run(
            [sys.executable, "-c", "import object_detection.protos.pipeline_pb2"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert "Descriptors cannot be created directly" in done.stderr

    @pytest.mark.parametrize("name", sorted(path.stem for path in PROTOS.glob("*_pb2.py")))
    def test_every_generated_module_has_what_its_descriptor_names(self, name):
        module = importlib.import_module("object_detection.protos." + name)
        file = module.DESCRIPTOR
        assert file.name == "object_detection/protos/" + name.replace("_pb2", ".proto")
        for message in file.message_types_by_name:
            assert getattr(module, message).DESCRIPTOR is file.message_types_by_name[message]
        for enum in file.enum_types_by_name.values():
            assert all(getattr(module, value.name) == value.number for value in enum.values)

    def test_a_pipeline_is_parsed_and_printed(self):
        from google.protobuf import text_format
        from object_detection.protos import pipeline_pb2

        text = 'model { ssd { num_classes: 3 feature_extractor { type: "ssd_mobilenet_v2_keras" } } }\ntrain_config { batch_size: 8 }\n'
        pipeline = text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())
        assert pipeline.model.WhichOneof("model") == "ssd"
        assert pipeline.train_config.max_number_of_boxes == 100  # a default of the schema
        assert text_format.Parse(str(pipeline), pipeline_pb2.TrainEvalPipelineConfig()) == pipeline
        assert type(pipeline).FromString(pipeline.SerializeToString()) == pipeline

    def test_an_unknown_field_is_refused(self):
        from google.protobuf import text_format
        from object_detection.protos import pipeline_pb2

        with pytest.raises(text_format.ParseError, match="no field named"):
            text_format.Parse("model { sdd { } }", pipeline_pb2.TrainEvalPipelineConfig())


class TestTensorFlow:
    def test_what_is_for_tensorflow_1_alone_does_not_keep_the_training_loop_from_being_imported(self):
        from object_detection import inputs, model_lib, model_lib_v2

        assert callable(model_lib_v2.train_loop)
        assert model_lib.tf_estimator is inputs.tf_estimator is None

    def test_only_the_loss_that_needs_tensorflow_io_asks_for_it(self):
        from object_detection.meta_architectures import deepmac_meta_arch

        class Reversing:
            @staticmethod
            def preprocess_reverse(image):
                return image

        architecture = deepmac_meta_arch.DeepMACMetaArch.__new__(deepmac_meta_arch.DeepMACMetaArch)
        architecture._feature_extractor = Reversing()
        with pytest.raises(ModuleNotFoundError, match="tensorflow_io"):
            architecture._get_lab_image(np.zeros([1, 4, 4, 3], np.float32))

    @pytest.mark.parametrize("encoding", ["jpeg", "png"])
    def test_an_example_is_decoded_to_the_pixels_that_inference_sees(self, encoding):
        import tensorflow as tf
        from object_detection.data_decoders.tf_example_decoder import TfExampleDecoder

        image = np.random.RandomState(0).randint(0, 256, [24, 17, 3]).astype(np.uint8)
        encoded = getattr(tf.io, "encode_" + encoding)(image).numpy()

        def values(**kind):
            return tf.train.Feature(**{name + "_list": getattr(tf.train, name.capitalize() + "List")(value=v) for name, v in kind.items()})

        features = {"image/encoded": values(bytes=[encoded]), "image/format": values(bytes=[encoding.encode()])}
        corners = {"ymin": 0.25, "xmin": 0.5, "ymax": 0.75, "xmax": 1.0}
        features.update(("image/object/bbox/" + name, values(float=[at])) for name, at in corners.items())
        features["image/object/class/label"] = values(int64=[2])
        example = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
        decoded = TfExampleDecoder().decode(tf.constant(example))
        assert decoded["groundtruth_boxes"].numpy().tolist() == [[0.25, 0.5, 0.75, 1.0]]
        assert decoded["groundtruth_classes"].numpy().tolist() == [2]
        assert np.array_equal(decoded["image"].numpy(), load_rgb(io.BytesIO(encoded), encoding))

    def test_boxes_are_drawn_with_their_labels(self):
        from object_detection.utils import visualization_utils

        drawn = {}
        for label in ("", "circle: 99%"):
            image = np.zeros([64, 64, 3], np.uint8)
            boxes, labels = np.array([[0.5, 0.1, 0.9, 0.9]]), [[label] if label else []]
            visualization_utils.draw_bounding_boxes_on_image_array(image, boxes, display_str_list_list=labels)
            drawn[label] = image
        above = {label: image[16:30].any() for label, image in drawn.items()}
        assert above == {"": False, "circle: 99%": True}


def numbered(layers):
    """A quantized model of Keras layers, with weights that no initializer makes."""
    import tensorflow_model_optimization as tfmot

    model = tfmot.quantization.keras.quantize_model(layers)
    model.set_weights([np.full(value.shape, number, value.dtype) for number, value in enumerate(model.get_weights(), 100)])
    return model


def kept(before, after):
    """Names of the variables of `after` whose values are among those that `before` has in the layer of the same name."""
    return [
        variable.name
        for layer in after.layers
        for variable in layer.weights
        if any(np.array_equal(variable.numpy(), value) for value in before.get_layer(layer.name).get_weights())
    ]


@pytest.fixture(scope="module")
def functional():
    """A quantized functional model."""
    import tf_keras

    image = tf_keras.layers.Input([4, 4, 2])
    return numbered(tf_keras.Model(image, tf_keras.layers.Conv2D(3, 1)(tf_keras.layers.Conv2D(2, 1)(image))))


class TestQuantization:
    """tfmot's remove_input_range, by which the Model Garden has a decoder quantized without the ranges of its inputs."""

    QUANTIZE = "tensorflow_model_optimization/python/core/quantization/keras/quantize.py"

    def test_taking_the_inputs_range_out_keeps_every_weight_that_is_left(self, functional):
        import tensorflow_model_optimization as tfmot

        with tfmot.quantization.keras.quantize_scope():
            after = tfmot.quantization.keras.remove_input_range(functional)
        assert len(functional.weights) - len(after.weights) == 2  # its least and its largest value
        assert len(kept(functional, after)) == len(after.weights)

    def test_without_the_patch_all_of_them_are_new(self, functional):
        module = importlib.import_module(self.QUANTIZE[: -len(".py")].replace("/", "."))
        original = dict(vars(module))
        exec(compile(originals()[self.QUANTIZE], self.QUANTIZE, "exec"), original)
        with module.quantize_scope():
            after = original["remove_input_range"](functional)
        assert after.weights
        assert not kept(functional, after)

    def test_a_sequential_model_keeps_its_weights_too(self):
        import tensorflow_model_optimization as tfmot
        import tf_keras

        model = numbered(tf_keras.Sequential([tf_keras.layers.Dense(3, input_shape=(4,)), tf_keras.layers.Dense(2)]))
        with tfmot.quantization.keras.quantize_scope():
            after = tfmot.quantization.keras.remove_input_range(model)
        assert len(kept(model, after)) == len(after.weights) == len(model.weights) - 2
