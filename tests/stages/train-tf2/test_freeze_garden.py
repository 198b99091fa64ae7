"""freeze-garden: the Garden's conventions brought to ours, in float and quantized; what the converter makes of it."""

import json
import shutil

import numpy as np
import pytest
import tiny_garden

from stage_helpers import artifact, load, run_program

CONVERT = {"quantization": "int8", "input_type": "uint8", "representative_images": 4, "seed": 1, "seconds": 300}


def freeze(folder, checkpoint, **params):
    """The Outcome of the stage on a checkpoint's folder."""
    inputs = {"checkpoint": artifact("train", "checkpoint-garden", checkpoint)}
    return run_program(folder / "run", "freeze-garden", dict(tiny_garden.FREEZE, **params), inputs, env=tiny_garden.ENV)


@pytest.fixture(scope="module", params=["float", "quantized"])
def frozen(request, tmp_path_factory):
    """(the training's Outcome, that of freezing its checkpoint), of both kinds."""
    made = {"float": tiny_garden.float_training, "quantized": tiny_garden.quantized_training}[request.param](tmp_path_factory)
    done = freeze(tmp_path_factory.mktemp("frozen"), made.output)
    assert done.code == 0, done.log
    return made, done


@pytest.fixture
def experiment(tmp_path_factory):
    from pathlib import Path

    from _garden.experiment import read_experiment

    return read_experiment(Path(tiny_garden.shared_config(tmp_path_factory)["path"]) / "experiment.yaml")


class TestConventions:
    def test_anchors_are_fractions_of_the_input_level_by_level(self, experiment):
        anchors = load("freeze-garden", "garden_export").anchors(experiment)
        assert anchors.dtype == np.float32
        assert anchors.shape == ((8 * 8 + 4 * 4) * 2, 4)
        side = 3 * 2**3 / 64
        assert anchors[0] == pytest.approx([4 / 64, 4 / 64, side, side])  # the first place of level 3, aspect ratio 1
        assert anchors[1] == pytest.approx([4 / 64, 4 / 64, side / 2**0.5, side * 2**0.5])  # twice as wide as high
        assert anchors[2][:2] == pytest.approx([4 / 64, 12 / 64])  # the next in the row
        assert anchors[128] == pytest.approx([8 / 64, 8 / 64, 2 * side, 2 * side])  # the first of level 4

    def test_the_operator_is_not_told_of_the_background(self, experiment):
        assert load("freeze-garden", "garden_export").decode_attributes(experiment, tiny_garden.FREEZE, 3) == {
            "max_detections": 20,
            "max_classes_per_detection": 1,
            "detections_per_class": 20,
            "use_regular_nms": False,
            "nms_score_threshold": 0.01,
            "nms_iou_threshold": 0.5,
            "num_classes": 3,
            "y_scale": 1.0,
            "x_scale": 1.0,
            "h_scale": 1.0,
            "w_scale": 1.0,
        }

    def test_the_box_coders_weights_become_its_scales(self, experiment):
        experiment.task.model.detection_generator.box_coder_weights = [10.0, 9.0, 5.0, 4.0]
        decode = load("freeze-garden", "garden_export").decode_attributes(experiment, tiny_garden.FREEZE, 3)
        assert [decode[name] for name in ("y_scale", "x_scale", "h_scale", "w_scale")] == [10.0, 9.0, 5.0, 4.0]


@pytest.mark.slow
class TestExport:
    def test_what_is_decoded_of_the_outputs_is_what_the_garden_decodes(self, frozen):
        import tensorflow as tf
        from _detection.postprocess import attributes, decode_boxes
        from _garden.experiment import read_experiment
        from _garden.model import build_model, restore

        made, done = frozen
        experiment = read_experiment(made.output / "experiment.yaml")
        experiment.task.model.detection_generator.apply_nms = False
        model = build_model(experiment)
        restore(model, str(made.output / "model.ckpt-4"))
        pixels = np.random.RandomState(0).uniform(-2, 2, [1, 64, 64, 3]).astype(np.float32)
        expected = model(pixels, training=False)
        signature = tf.saved_model.load(str(done.output / "saved_model")).signatures["raw_outputs"]
        found = signature(tf.constant(pixels))
        encodings = found["raw_outputs/box_encodings"].numpy()[0]
        scales = attributes(done.json("graph.json")["decode"], "graph.json")
        boxes = decode_boxes(encodings, np.load(done.output / "anchors.npy"), scales) * 64
        assert np.allclose(boxes, expected["decoded_boxes"].numpy().reshape(-1, 4), atol=1e-3)
        scores = found["raw_outputs/class_predictions"].numpy()[0]
        assert scores.shape == (len(boxes), 4)
        assert np.allclose(scores[:, 1:], expected["decoded_box_scores"].numpy()[0], atol=1e-6)

    def test_graph_json_says_what_the_model_is(self, frozen):
        from _garden.experiment import MEAN, STD

        made, done = frozen
        graph = done.json("graph.json")
        assert graph["quantized"] is made.json("checkpoint.json")["quantized"]
        assert (graph["input"]["mean"], graph["input"]["std"]) == (MEAN, STD)
        assert (graph["classes"], graph["input_size"], graph["step"]) == (tiny_garden.CLASSES, [64, 64], 4)
        assert (done.output / "experiment.yaml").read_bytes() == (made.output / "experiment.yaml").read_bytes()

    @pytest.mark.parametrize("frozen", ["quantized"], indirect=True)
    def test_exporting_again_gives_the_same_bytes(self, frozen, tmp_path):
        made, done = frozen
        again = freeze(tmp_path, made.output)
        for path in sorted(done.output.rglob("*")):
            if path.is_file():
                assert (again.output / path.relative_to(done.output)).read_bytes() == path.read_bytes(), path.name

    @pytest.mark.parametrize("frozen", ["quantized"], indirect=True)
    def test_the_quantized_model_becomes_a_tflite_of_which_all_is_int8_but_the_post_process(self, frozen, tmp_path):
        _, done = frozen
        inputs = {"model": artifact("freeze", "saved-model", done.output), "records": None}
        converted = run_program(tmp_path / "run", "convert-tf2", CONVERT, inputs, env=tiny_garden.ENV)
        assert converted.code == 0, converted.log
        lint = converted.json("lint.json")
        assert lint["usable"]
        assert lint["inference_type"] == "int8"
        # Of floats, there are the post-process's outputs, its anchors, and the boxes and scores that it reads.
        assert lint["tensors"]["float32"] == 7
        assert [row["op"] for row in lint["operators"] if row["custom"]] == ["TFLite_Detection_PostProcess"]


class TestRefused:
    @pytest.fixture
    def check(self, experiment):
        about = {"classes": list(tiny_garden.CLASSES), "quantized": False, "step": 4}
        run = load("freeze-garden", "run")

        def call(params=None, **changed):
            from _runtime import StageError

            with pytest.raises(StageError) as error:
                run.check_exportable(experiment, dict(about, **changed), dict(tiny_garden.FREEZE, **(params or {})))
            return error.value

        return call

    def test_a_checkpoint_with_names_for_other_classes(self, check):
        error = check(classes=["circle"])
        assert error.where == "checkpoint.json: classes"
        assert "task.model.num_classes is 4, with the background" in error.expected

    def test_an_experiment_that_is_not_of_this_checkpoint(self, check):
        assert check(quantized=True).where == "experiment.yaml: task.quantization"

    def test_more_classes_for_a_box_than_there_are(self, check):
        assert check({"max_classes_per_detection": 4}).where == "freeze-garden.max_classes_per_detection"

    @pytest.mark.slow
    def test_a_checkpoint_of_another_step_than_it_says(self, tmp_path, tmp_path_factory):
        shutil.copytree(str(tiny_garden.float_training(tmp_path_factory).output), str(tmp_path / "moved"))
        about = json.loads((tmp_path / "moved" / "checkpoint.json").read_text())
        (tmp_path / "moved" / "checkpoint.json").write_text(json.dumps(dict(about, step=5)))
        assert freeze(tmp_path, tmp_path / "moved").error["what"] == "the checkpoint is of another step than it says"
