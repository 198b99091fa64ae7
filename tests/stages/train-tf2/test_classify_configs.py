"""The stage classify-configs: every config of the Object Detection API is read, linted and told where it can be trained."""

import json
import random
import re
from collections import Counter

import pytest
import tiny_config_tf2
from _configure import rules_tf2
from _configure.from_tf1 import convert
from _configure.rules import all_problems
from _odapi.config_overrides import apply_overrides
from _odapi.config_text import read_config

from stage_helpers import ROOT, load, shared

judgement = load("classify-configs", "config_judgement")

GOLDEN = ROOT / "tests" / "stages" / "golden" / "official_configs.json"
RCNN, CENTERNET, SAMPLE = (
    "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8",
    "centernet_resnet50_v2_512x512_kpts_coco17_tpu-8",
    "samples__configs__",
)
NUMBERS = ["0", "-1", "1e309", "nan", "99999999999999999999", "2147483647", "4294967295", "-0.5", "1000000", "true", '"x"']


@pytest.fixture
def classify(run_here, tmp_path):
    """classify(text or path): what is said of a single config."""

    def call(source):
        path = source
        if isinstance(source, (str, bytes)):
            path = tmp_path / "own.config"
            path.write_bytes(source if isinstance(source, bytes) else source.encode())
        outcome = run_here("classify-configs", {"path": str(path)}, {})
        assert outcome.code == 0, outcome.error
        (said,) = outcome.json("configs.json")["files"]
        return said

    return call


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """{file: what is said of it} of all official configs."""
    folder = shared() / "data" / "configs"
    return {path.name: judgement.judge(path, path.name) for path in sorted(folder.glob("*.config"))}


def on_record(said):
    """What the golden file says of a config."""
    return {"class": said["class"], "overrides": {image: said["images"][image]["overrides"] for image in said["runs_on"]}}


def said_of(official, name):
    (said,) = [each for file, each in official.items() if file.endswith(f"__{name}.config")]
    return said


@pytest.mark.slow
class TestOfficialConfigs:
    def test_each_is_of_the_class_and_needs_the_overrides_that_are_on_record(self, official):
        assert {name: on_record(said) for name, said in official.items()} == json.loads(GOLDEN.read_text())

    def test_there_are_111_and_none_is_unread_but_two_that_extend_the_schema(self, official):
        assert len(official) == 111
        assert {name for name, said in official.items() if said["error"]} == {name for name in official if name.startswith("lstm_")}

    @pytest.mark.parametrize(
        ("name", "needs"),
        [
            (RCNN, "the API for TensorFlow 2 itself: Faster R-CNN is no SSD"),
            (CENTERNET, "the API for TensorFlow 2 itself: CenterNet is no SSD"),
            ("faster_rcnn_resnet101_coco", "the API for TensorFlow 1 itself: Faster R-CNN is no SSD"),
            ("mask_rcnn_inception_v2_coco", "the API for TensorFlow 1 itself: Mask R-CNN is no SSD"),
            ("rfcn_resnet101_coco", "the API for TensorFlow 1 itself: R-FCN is no SSD"),
            ("context_rcnn_resnet101_snapshot_serengeti", "a later release of the API for TensorFlow 1 itself: Context R-CNN is no SSD"),
            ("ssdlite_mobiledet_cpu_320x320_coco_sync_4x4", "a later release of the API for TensorFlow 1 than the image train has"),
            ("lstm_ssd_mobilenet_v1_imagenet", "the code that defines the extension lstm_object_detection.protos.lstm_model"),
            ("ssd_mobilenet_v1_ppn_shared_box_predictor_300x300_coco14_sync", "the API for TensorFlow 1 under Python 2"),
            ("ssd_pipeline", "to be mended: there is no optimizer"),
        ],
    )
    def test_what_nothing_here_trains_says_what_it_needs(self, official, name, needs):
        said = said_of(official, name)
        assert (said["class"], said["runs_on"]) == ("other", [])
        assert said["needs"].startswith(needs)

    def test_an_either_is_trained_by_both_images(self, official):
        said = said_of(official, "ssd_mobilenet_v2_quantized_300x300_coco")
        assert (said["class"], said["runs_on"], said["quantization_delay"]) == ("either", ["train", "train-tf2"], 48000)
        assert said["images"]["train"]["overrides"] == {"train_config.fine_tune_checkpoint": None}
        assert said["images"]["train-tf2"]["from_tf1"]
        assert "graph_rewriter" in {change["field"] for change in said["images"]["train-tf2"]["changes"]}

    def test_one_for_tensorflow_2_says_so_of_tensorflow_1(self, official):
        said = said_of(official, "ssd_mobilenet_v2_320x320_coco17_tpu-8")
        assert said["images"]["train"]["because"]["what"] == "the config is one for TensorFlow 2"

    def test_the_overrides_that_are_named_are_all_that_is_needed(self, official):
        for name, said in official.items():
            verdict = said["images"].get("train-tf2", {"because": "unread"})
            if verdict["because"] is None:
                config = read_config(shared() / "data" / "configs" / name)
                if verdict["from_tf1"]:
                    convert(config, len)
                judgement.fill(config, judgement._RECORDS, len)
                apply_overrides(config, verdict["overrides"])
                assert all_problems(config, rules_tf2.rules_of())[0] == [], name


class TestStage:
    def test_a_folder_is_read_with_those_below_it(self, run_here, tmp_path):
        (tmp_path / "configs" / "more").mkdir(parents=True)
        (tmp_path / "configs" / "b.config").write_text(tiny_config_tf2.config_text())
        (tmp_path / "configs" / "more" / "a.config").write_text("model {")
        (tmp_path / "configs" / "notes.txt").write_text("not a config")
        outcome = run_here("classify-configs", {"path": str(tmp_path / "configs")}, {})
        said = outcome.json("configs.json")
        assert [(each["file"], each["class"]) for each in said["files"]] == [("b.config", "train-tf2"), ("more/a.config", "other")]
        assert said["counts"] == {"train": 0, "train-tf2": 1, "either": 0, "other": 1}
        assert outcome.result["metrics"] == said["counts"]

    def test_the_table_names_every_config_and_what_the_classes_mean(self, run_here, tmp_path):
        (tmp_path / "own.config").write_text(tiny_config_tf2.config_text())
        (tmp_path / "rcnn.config").write_text("model { faster_rcnn { } }")
        outcome = run_here("classify-configs", {"path": str(tmp_path)}, {})
        lines = (outcome.output / "configs.txt").read_text().splitlines()
        assert "    1  train-tf2  the stages configure-tf2 and train-tf2" in lines
        assert "  ssd_mobilenet_v2_keras  96x96  train-tf2 (0)  own.config" in lines
        heading = lines.index(
            "needs the API for TensorFlow 1 itself: Faster R-CNN is no SSD, and what is made here for TensorFlow Lite is one (1)"
        )
        assert lines[heading + 1] == "  -  -  rcnn.config"

    @pytest.mark.parametrize("params", [{"path": None}, {"path": "empty"}], ids=["no path", "an empty folder"])
    def test_without_a_config_it_is_refused(self, run_here, tmp_path, params):
        if params["path"]:
            (tmp_path / "empty").mkdir()
            params = {"path": str(tmp_path / "empty")}
        assert run_here("classify-configs", params, {}).error["what"] in ("there is nothing to read", "there are no configs")


class TestConfigs:
    def test_what_an_override_mends_does_not_count_against_an_image(self, classify):
        text = tiny_config_tf2.config_text().replace("num_steps: 4", 'num_steps: 0 fine_tune_checkpoint: "PATH_TO_BE_CONFIGURED/x"')
        verdict = classify(text)["images"]["train-tf2"]
        assert verdict["overrides"] == {"train_config.num_steps": 20000, "train_config.fine_tune_checkpoint": None}
        assert [problem["where"] for problem in verdict["problems"]] == [
            "pipeline.config: train_config.num_steps",
            "pipeline.config: train_config.fine_tune_checkpoint",
        ]

    def test_what_training_takes_no_notice_of_is_told_and_mended_by_nothing(self, classify):
        text = tiny_config_tf2.config_text().replace("num_steps: 4", "num_steps: 4 sync_replicas: true replicas_to_aggregate: 8")
        said = classify(text)
        verdict = said["images"]["train-tf2"]
        assert (said["class"], verdict["overrides"]) == ("train-tf2", {})
        (warning,) = verdict["warnings"]
        assert "train_config.sync_replicas, train_config.replicas_to_aggregate" in warning

    def test_what_the_api_refuses_to_build_counts(self, classify):
        said = classify(
            tiny_config_tf2.config_text().replace("faster_rcnn_box_coder { y_scale: 10.0", "mean_stddev_box_coder { stddev: 10.0")
        )
        assert said["class"] == "other"

    @pytest.mark.parametrize(
        ("content", "needs"),
        [
            ("", "a model: it describes none"),
            (b"\xff\xfe\x00", "to be mended: the pipeline.config is not UTF-8 text"),
            ("model { ssd {", "to be mended: the pipeline.config cannot be parsed"),
            ("model { ssd { num_clases: 3 } }", "to be mended: Ssd has no field `num_clases`"),
            ("model { ssd { } }", "an API that has the feature extractor ``"),
            ("model { experimental_model { } }", "the API for TensorFlow 2 itself: an experimental model is no SSD"),
            ('model { ssd { feature_extractor { type: "ssd_own" } } }', "an API that has the feature extractor `ssd_own`"),
        ],
    )
    def test_what_is_no_config_to_train_is_a_line_and_no_failure(self, classify, content, needs):
        said = classify(content)
        assert said["class"] == "other"
        assert said["needs"].startswith(needs)


def mutated(text, rng):
    """`text` with one to four tokens dropped, doubled or replaced by a number of use to nobody, or cut, or with two lines exchanged."""
    for _ in range(rng.randint(1, 4)):
        tokens = list(re.finditer(r"[A-Za-z_][\w.\-/]*|-?[\d.]+(?:e-?\d+)?|[{}:\[\]\"']", text))
        numbers = [token for token in tokens if re.match(r"-?\d", token.group())]
        how = rng.choice(["drop", "double", "cut", "exchange", "character", *["number"] * 5])
        if how == "number" and numbers:
            token = rng.choice(numbers)
            text = text[: token.start()] + rng.choice(NUMBERS) + text[token.end() :]
        elif how in ("drop", "double") and tokens:
            token = rng.choice(tokens)
            text = text[: token.start()] + token.group() * (2 if how == "double" else 0) + text[token.end() :]
        elif how == "exchange":
            lines = text.splitlines(keepends=True)
            one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one]
            text = "".join(lines)
        else:
            place = rng.randrange(len(text))
            text = text[:place] if how == "cut" else text[:place] + rng.choice("\0\n\"'\\ÿ{}") + text[place:]
    return text


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_damaged_configs_are_judged_and_crash_nothing(seed, tmp_path):
    rng, path, classes = random.Random(seed), tmp_path / "damaged.config", Counter()
    sources = [source.read_text() for source in sorted((shared() / "data" / "configs").glob("*ssd*.config"))]
    for _ in range(120):
        path.write_text(mutated(rng.choice(sources), rng), encoding="utf-8")
        said = judgement.judge(path, path.name)
        json.dumps(said, allow_nan=False)
        classes[said["class"]] += 1
    assert len(classes) > 1  # some are still of use: damage that is always found at once would show little
