"""train-garden: what the model sees, whose weights it starts from, and trainings in float and quantization-aware of a few steps."""

import copy
import io
import json
import operator
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_garden
from _runtime import StageError
from freeze_fixtures_tf2 import CONVERT

from stage_helpers import artifact, load, run_program, write_task


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    return Path(tiny_garden.shared_records(tmp_path_factory)["path"])


@pytest.fixture
def experiment(tmp_path_factory):
    from _garden.experiment import read_experiment

    return read_experiment(Path(tiny_garden.shared_config(tmp_path_factory)["path"]) / "experiment.yaml")


@pytest.fixture(scope="session")
def float_run(tmp_path_factory):
    return tiny_garden.float_training(tmp_path_factory)


@pytest.fixture(scope="session")
def quantized_run(tmp_path_factory):
    return tiny_garden.quantized_training(tmp_path_factory)


class TestInput:
    @pytest.mark.parametrize("encoding", ["JPEG", "PNG"])
    @pytest.mark.parametrize("size", [(64, 64), (32, 96)])
    def test_an_image_is_the_one_that_inference_sees(self, encoding, size):
        import tensorflow as tf
        from _detection.resize import load_rgb, model_input
        from PIL import Image

        decoder = load("train-garden", "garden_input").StretchingDecoder(size)
        stream = io.BytesIO()
        Image.fromarray(tiny_garden.picture(3)).save(stream, encoding)
        decoded = decoder.decode(tf.constant(tiny_garden.example(3, stream.getvalue())))["image"].numpy()
        assert decoded.dtype == np.uint8
        assert np.array_equal(decoded, model_input(load_rgb(stream), *size)[0])

    def test_pixels_are_normalized_as_is_told_of_the_exported_model(self, experiment):
        import tensorflow as tf
        from _detection.resize import load_rgb, model_input
        from _garden.experiment import MEAN, STD

        decode = load("train-garden", "garden_input").make_decode(experiment, experiment.task.validation_data)
        image, _ = decode(tf.constant(tiny_garden.example(1)))
        pixels = model_input(load_rgb(io.BytesIO(tiny_garden.encoded(1))), 64, 64)[0].astype(np.float64)
        assert np.abs(image.numpy() - (pixels - MEAN) / STD).max() < 1e-5

    def test_boxes_are_stretched_with_the_image(self, experiment):
        import tensorflow as tf

        decode = load("train-garden", "garden_input").make_decode(experiment, experiment.task.validation_data)
        _, labels = decode(tf.constant(tiny_garden.example(1)))
        found = labels["groundtruths"]["boxes"].numpy()[:2]
        assert np.allclose(found, np.array([box for _, box in tiny_garden.boxes(1)]) * 64, atol=1e-4)

    def test_a_deterministic_input_is_the_same_for_the_same_step_and_another_for_another(self, experiment, records):
        training_data = load("train-garden", "garden_input").training_data

        def batches(seed, step):
            data = training_data(experiment, records, seed, step, deterministic=True)
            return [images.numpy().tobytes() for images, _ in data.take(2)]

        assert batches(1, 0) == batches(1, 0)
        assert batches(1, 0) != batches(1, 2)
        assert batches(1, 0) != batches(2, 0)

    def test_a_resumed_training_does_not_begin_the_same_data_again(self, experiment, records, monkeypatch):
        feeding = load("train-garden", "garden_input")
        monkeypatch.setattr(feeding, "make_decode", lambda *_: lambda record: record)
        experiment.task.train_data.global_batch_size = 4

        def orders(step):
            return np.stack(list(feeding.training_data(experiment, records, 1, step, deterministic=False).take(8).as_numpy_iterator()))

        assert np.array_equal(orders(0), orders(0))
        assert not np.array_equal(orders(0), orders(2))

    def test_shards_that_the_records_do_not_have_are_refused(self, experiment, tmp_path):
        with pytest.raises(StageError) as error:
            load("train-garden", "garden_input").training_data(experiment, tmp_path, 1, 0, deterministic=False)
        assert error.value.remedy == "run configure-garden on these records"


class TestRefused:
    """Before a model is built."""

    @pytest.fixture
    def pretrained(self, experiment):
        about = {"classes": tiny_garden.CLASSES, "quantized": False, "step": 4}
        made = type("Pretrained", (), {})()
        made.about, made.experiment, made.quantized, made.step = about, copy.deepcopy(experiment), False, 4
        return made

    @pytest.fixture
    def check(self, experiment):
        return lambda pretrained, quantized=False: load("train-garden", "garden_pretrained").check_pretrained(
            pretrained, experiment, tiny_garden.CLASSES, quantized
        )

    def test_quantization_without_a_float_checkpoint(self, run_here, tmp_path_factory):
        params = dict(tiny_garden.TRAIN, quantize=True, intra_op_threads=2, inter_op_threads=2)
        error = run_here("train-garden", params, tiny_garden.train_inputs(tmp_path_factory)).error
        assert error["where"] == "train-garden.quantize"
        assert "`pretrained`" in error["remedy"]

    def test_a_frozen_backbone_with_quantization(self, experiment, pretrained):
        experiment.task.freeze_backbone = True
        with pytest.raises(StageError) as error:
            load("train-garden", "garden_work").check_quantize(True, pretrained, experiment)
        assert error.value.where == "experiment.yaml: task.freeze_backbone"

    def test_a_quantized_checkpoint_for_a_float_training(self, check, pretrained):
        pretrained.quantized = True
        with pytest.raises(StageError, match="the pretrained model is quantized"):
            check(pretrained)

    def test_a_checkpoint_of_other_classes(self, check, pretrained):
        pretrained.about = dict(pretrained.about, classes=["circle", "triangle", "square"])
        with pytest.raises(StageError, match="other classes"):
            check(pretrained)

    def test_a_checkpoint_of_another_architecture_with_the_field(self, check, pretrained):
        pretrained.experiment.task.model.backbone.mobilenet.filter_size_scale = 0.5
        with pytest.raises(StageError) as error:
            check(pretrained)
        assert error.value.where == "experiment.yaml: task.model.backbone.mobilenet.filter_size_scale"
        assert "override `task.model.backbone.mobilenet.filter_size_scale: 0.5`" in error.value.remedy

    @pytest.mark.parametrize(
        ("holder", "name", "found", "wanted", "said"),
        [("norm_activation", "norm_epsilon", 1e-05, 0.001, "1.0e-05"), ("backbone.mobilenet", "output_stride", None, 16, "null")],
    )
    def test_the_remedy_is_yaml(self, check, pretrained, experiment, holder, name, found, wanted, said):
        for each, value in ((pretrained.experiment, found), (experiment, wanted)):
            setattr(operator.attrgetter(holder)(each.task.model), name, value)
        with pytest.raises(StageError) as error:
            check(pretrained)
        assert "override `task.model.%s.%s: %s`" % (holder, name, said) in error.value.remedy

    def test_what_trained_weights_do_not_depend_on_may_differ(self, check, pretrained):
        model = pretrained.experiment.task.model
        model.norm_activation.norm_momentum, model.input_size = 0.9 + model.norm_activation.norm_momentum / 100, [128, 128, 3]
        check(pretrained)

    def test_another_suppression_of_boxes_is_no_other_architecture(self, check, pretrained):
        pretrained.experiment.task.model.detection_generator.nms_iou_threshold = 0.7
        check(pretrained)

    def test_a_checkpoint_of_tensorflow_1(self, tmp_path):
        import tensorflow as tf
        from _garden.model import stored_variables

        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tf.compat.v1.get_variable("layer/weights", [2], use_resource=False)
            session.run(tf.compat.v1.global_variables_initializer())
            tf.compat.v1.train.Saver().save(session, str(tmp_path / "old"))
        with pytest.raises(StageError, match="one of TensorFlow 1"):
            stored_variables(str(tmp_path / "old"))

    def test_a_damaged_checkpoint(self, tmp_path):
        from _garden.model import stored_variables

        (tmp_path / "bad.index").write_bytes(b"0" * 200)
        with pytest.raises(StageError, match="cannot be read"):
            stored_variables(str(tmp_path / "bad"))

    def test_idle_gpus_are_told_when_training_begins(self, monkeypatch):
        import tensorflow as tf

        work, warned = load("train-garden", "garden_work"), []
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * 2)
        monkeypatch.setattr(work, "set_threads", lambda *threads: threads[:2])
        task = type("Task", (), {"params": dict(tiny_garden.TRAIN), "warn": lambda self, text: warned.append(text)})()
        assert work.set_up(task) == tiny_garden.TRAIN["intra_op_threads"]
        assert warned == ["train-garden uses one of the 2 GPUs; the others are idle"]


@pytest.mark.slow
class TestFloat:
    def test_what_a_float_training_leaves(self, float_run):
        about = float_run.json("checkpoint.json")
        assert {name: about[name] for name in ("step", "prefix", "classes", "quantized", "num_steps", "warm_start", "pretrained_step")} == {
            "step": 4,
            "prefix": "model.ckpt-4",
            "classes": tiny_garden.CLASSES,
            "quantized": False,
            "num_steps": 4,
            "warm_start": None,
            "pretrained_step": None,
        }
        assert [entry["step"] for entry in about["evaluations"]] == [2, 4]
        assert all(0 <= entry["map"] <= entry["map50"] <= 1 and entry["loss"] > 0 for entry in about["evaluations"])

    def test_the_history_has_every_step_with_its_learning_rate(self, float_run):
        steps = float_run.json("history.json")["steps"]
        assert [entry["step"] for entry in steps] == [1, 2, 3, 4]
        assert steps[0]["learning_rate"] == pytest.approx(0.001)  # of the warm-up
        assert all(entry["loss"] > 0 for entry in steps)

    def test_events_are_there_for_tensorboard(self, float_run):
        assert list((float_run.output / "events" / "train").iterdir())
        assert list((float_run.output / "events" / "eval").iterdir())

    def test_the_gardens_own_programs_find_the_model_in_the_checkpoint(self, float_run, experiment):
        from _garden.model import build_model, restore

        model = build_model(experiment)
        before = model.weights[0].numpy()
        assert restore(model, str(float_run.output / "model.ckpt-4")) == len(model.weights)
        assert not np.array_equal(before, model.weights[0].numpy())
        experiment.task.init_checkpoint = str(float_run.output / "model.ckpt-4")
        load("train-garden", "garden_training").Garden(experiment, None).task.initialize(model)

    def test_a_checkpoint_of_another_size_is_refused(self, float_run, experiment):
        from _garden.model import build_model, restore

        experiment.task.model.head.num_filters = 8
        with pytest.raises(StageError, match="of another model"):
            restore(build_model(experiment), str(float_run.output / "model.ckpt-4"))


def messages(done):
    """What the stage told the user."""
    lines = [json.loads(line) for line in done.log.splitlines() if line.startswith('{"edgemill"')]
    return [line["text"] for line in lines if line["edgemill"] == "message"]


@pytest.mark.slow
class TestQuantized:
    def test_every_pretrained_variable_is_restored_and_told(self, quantized_run):
        (text,) = [text for text in messages(quantized_run) if "restored" in text]
        assert text == "pretrained step 4: restored 308 of 308 variables (backbone 260 of 260, decoder 20 of 20, head 28 of 28)"
        assert quantized_run.json("checkpoint.json")["warm_start"] == {"restored": 308, "missing": 0, "other_shape": 0}

    def test_what_a_quantization_aware_training_leaves(self, quantized_run):
        about = quantized_run.json("checkpoint.json")
        assert (about["quantized"], about["pretrained_step"], about["step"], about["intra_op_threads"]) == (True, 4, 4, 1)
        text = (quantized_run.output / "experiment.yaml").read_text()
        assert "pretrained_original_checkpoint: null" in text
        assert "quantize_detection_decoder: true" in text

    def test_without_the_patch_the_decoder_would_start_anew_and_is_refused(self, float_run, experiment, monkeypatch):
        import tensorflow_model_optimization as tfmot
        from _garden.model import build_model, quantize, restore

        def forgetful(decoder):
            return decoder.__class__.from_config(decoder.get_config())

        monkeypatch.setattr(tfmot.quantization.keras, "remove_input_range", forgetful)
        model = build_model(experiment)
        restore(model, str(float_run.output / "model.ckpt-4"))
        with pytest.raises(StageError) as error:
            quantize(experiment, model)
        assert str(error.value) == "quantizing the model dropped pretrained weights of its decoder"
        assert error.value.expected == "all 20 variables"

    def test_a_resumed_training_gives_the_bytes_of_one_that_never_stopped(self, quantized_run, float_run, tmp_path, tmp_path_factory):
        folder, params = tmp_path / "run", dict(tiny_garden.TRAIN, quantize=True, deterministic=True)
        write_task(folder, "train-garden", params, tiny_garden.train_inputs(tmp_path_factory, float_run.output))
        checkpoints = folder / "scratch" / "checkpoints"
        shutil.copytree(str(quantized_run.output.parent / "scratch" / "checkpoints"), str(checkpoints))
        for path in checkpoints.glob("model.ckpt-4.*"):
            path.unlink()
        done = tiny_garden.run_prepared(folder, "train-garden")
        assert done.code == 0, done.log
        assert "resuming from step 2" in messages(done)
        for name in ("model.ckpt-4.index", "model.ckpt-4.data-00000-of-00001", "checkpoint.json", "experiment.yaml"):
            assert (done.output / name).read_bytes() == (quantized_run.output / name).read_bytes(), name


@pytest.mark.slow
class TestUntrained:
    def test_each_leaves_a_marked_checkpoint_of_step_0_and_no_events(self, tmp_path_factory):
        for done, quantized in zip(tiny_garden.untrained_models(tmp_path_factory), (False, True)):
            about = done.json("checkpoint.json")
            assert (about["untrained"], about["step"], about["quantized"], about["evaluations"]) == (True, 0, quantized, [])
            assert sorted(path.name for path in done.output.iterdir()) == [
                "checkpoint.json",
                "experiment.yaml",
                "history.json",
                "model.ckpt-0.data-00000-of-00001",
                "model.ckpt-0.index",
            ]

    def test_no_training_starts_from_one(self, tmp_path_factory, run_here):
        start, _ = tiny_garden.untrained_models(tmp_path_factory)
        params = dict(tiny_garden.TRAIN, intra_op_threads=2, inter_op_threads=2)  # as all that runs in this process
        error = run_here("train-garden", params, tiny_garden.train_inputs(tmp_path_factory, start.output)).error
        assert (error["what"], error["where"]) == ("the model is untrained: what it puts out means nothing", "pretrained: checkpoint.json")

    def test_the_quantized_one_is_converted_to_the_operators_of_a_trained_one(self, tmp_path, tmp_path_factory):
        _, untrained = tiny_garden.untrained_models(tmp_path_factory)
        lints = []
        for number, made in enumerate((untrained, tiny_garden.quantized_training(tmp_path_factory))):
            inputs = {"checkpoint": artifact("train", "checkpoint-garden", made.output)}
            frozen = run_program(tmp_path / ("freeze-%d" % number), "freeze-garden", tiny_garden.FREEZE, inputs, env=tiny_garden.ENV)
            inputs = {"model": artifact("freeze", "saved-model", frozen.output), "records": None}
            converted = run_program(tmp_path / ("convert-%d" % number), "convert-tf2", CONVERT, inputs, env=tiny_garden.ENV)
            assert converted.code == 0, converted.log
            lints.append(converted.json("lint.json"))
        assert [lint["usable"] for lint in lints] == [False, True]
        assert lints[0]["operators"] == lints[1]["operators"]
