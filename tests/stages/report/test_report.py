"""The page holds what the artifacts say and nothing else, reaches for nothing outside itself, and says what is missing."""

import itertools
import re

import pytest
from page_text import SVG, chart, chart_rows, description, heads, rows, words
from run_files import STAGES, digest, manifest, odapi_evaluation, read, task_run, whole_run, write

from stage_helpers import artifact

JPEG = "data:image/jpeg;base64,"


def test_the_page_reaches_for_nothing_outside_itself(page):
    made = page()
    assert not made.all("//link|//iframe|//object|//embed|//base|//script[@src]|//form[@action]")
    addresses = made.all("//@src|//@href|//@action|//@srcset|//@data")
    assert addresses
    assert all(address.startswith(("#", JPEG)) for address in addresses)
    assert not re.search(r"@import|url\((?!#)|https?://|//[a-z]+\.", re.sub(JPEG + "[A-Za-z0-9+/=]+", "", made.text))


def test_the_page_forbids_the_browser_all_but_its_own_style_and_script(page):
    (policy,) = page().all("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[^' ]+'; script-src 'sha256-[^' ]+'; img-src data:; base-uri 'none'; form-action 'none'",
        policy,
    )


def test_the_page_can_be_read_without_seeing_it(page):
    made = page()
    assert made.document.get("lang") == "en"
    levels = [int(heading.tag[1]) for heading in made.all("//h1|//h2|//h3|//h4|//h5")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), "a heading level is skipped"
    assert all(each.xpath("./caption") for each in made.all("//table"))
    assert all(each.get("scope") for each in made.all("//th"))
    assert all(words(each) for each in made.all("//th"))
    assert len(made.all("//img")) == len(made.all("//img[string-length(@alt)>5]"))
    for drawing in made.all("//" + SVG + "[not(@aria-hidden)]"):
        assert drawing.get("role") == "img"
        named = (drawing.get("aria-labelledby") or "").split()
        assert drawing.get("aria-label") or (named and all(made.all("//*[@id=$id]", id=each) for each in named))
    assert all(each.xpath(".//" + SVG + "/@aria-describedby") for each in made.all("//figure[contains(@class,'chart')]"))
    ids = made.all("//@id")
    assert len(ids) == len(set(ids))
    assert all(made.all("//*[@id=$id]", id=target[1:]) for target in made.all("//@href") if target.startswith("#"))


def test_each_chart_has_words_and_numbers_beside_its_drawing(page):
    figures = page().all("//figure[contains(@class,'chart')]")
    assert len(figures) > 8
    for figure in figures:
        assert len(description(figure)) > 20
        assert "nan" not in description(figure)


def test_the_top_tells_the_verdict_and_the_most_telling_numbers(page):
    made = page()
    assert words(made.all("//h1")[0]) == "demo"
    assert words(made.all("//*[contains(@class,'verdict')]")[0]) == "Passed The gate passed."
    assert [words(card) for card in made.all("//ul[@class='cards']/li")] == [
        "infer-float 0.920 mAP@0.5 on val",
        "infer-frozen 0.850 mAP@0.5 on val",
        "infer-tflite 0.800 mAP@0.5 on val",
        "infer-float → infer-frozen −0.070 largest loss of mAP@0.5",
        "convert 641 kB size of the .tflite",
        "package 1 files in the package",
    ]


def of_metrics(**fields):
    """A change of the evaluation's metrics.json."""

    def change(root):
        write(root / "evaluate" / "metrics.json", {**read(root / "evaluate" / "metrics.json"), **fields})

    return change


FAILED_GATE = {"name": "min_map50", "model": "infer-tflite", "class": None, "limit": 0.9, "value": 0.8, "passed": False}


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({}, "Passed"),
        ({"change": of_metrics(gates=[FAILED_GATE])}, "Below the gate"),
        ({"change": of_metrics(gates=[])}, "Measured"),
        ({"change": of_metrics(schema=1)}, "Not evaluated"),
        ({"without": ["evaluate"]}, "Not evaluated"),
        ({"usable": False}, "Not for use"),
        ({"run": task_run(train=("failed", "killed by signal 9"))}, "Failed"),
        ({"run": task_run(compile=("failed", "it hung"))}, "Passed"),  # optional
    ],
)
def test_the_verdict(page, given, word):
    made = page(**given)
    assert words(made.all("//*[contains(@class,'verdict')]/strong")[0]) == word
    assert word in made.all("//title")[0].text


def test_an_untrained_model_is_told_as_such_and_draws_no_curve(page):
    def change(root):
        told = {"step": 0, "selected_by": "none: it is untrained", "evaluations": [], "untrained": True}
        write(root / "train" / "checkpoint.json", {**read(root / "train" / "checkpoint.json"), **told})
        write(root / "train" / "history.json", {"schema": 1, "steps": [], "evaluations": []})
        lint = {**read(root / "convert" / "lint.json"), "usable": False, "unusable_because": "its weights are untrained"}
        write(root / "convert" / "lint.json", lint)

    made = page(change=change, without=["evaluate"])
    verdict = words(made.all("//*[contains(@class,'verdict')]")[0])
    assert verdict == "Not for use convert: what it puts out means nothing. See The model file."
    assert "none: it is untrained" in words(made.part("training"))
    assert "its weights are untrained" in words(made.part("model"))
    assert not made.part("training").xpath(".//figure")


# Stages and provenance.


def test_each_stage_is_told_with_its_state_time_image_key_and_digest(page):
    run = task_run(ingest=("published", None), compile=("unavailable", "the image edgetpu lacks edgetpu_compiler"))
    found = rows(page(run=run).part("stages"), "Each stage")
    assert [row[0].split()[0] for row in found] == list(STAGES)
    told = {row[0]: row[1:] for row in found}
    assert told["ingest"][0] == "● already published"
    assert told["train"][:2] == ["✓ ran now", "7 min 24 s"]
    assert re.fullmatch(r"train [0-9a-f]{12}", told["train"][2])
    assert all(re.fullmatch("[0-9a-f]{12}", told["train"][place]) for place in (3, 4))
    assert told["compile"] == ["– unavailable optional the image edgetpu lacks edgetpu_compiler", "–", "edgetpu", "–", "–"]


def test_without_a_run_the_stages_come_from_the_manifests(page):
    made = page(run=None)
    found = rows(made.part("stages"), "Each stage")
    assert [row[0].split()[0] for row in found] == [name for name in STAGES if name != "compile"]
    assert {row[1] for row in found} == {"· not recorded"}
    assert found[3][2] == "7 min 24 s"
    assert "No run was told to this page" in made.told("unchecked")


def test_how_each_artifact_was_made_is_told(page):
    section = page().part("provenance")
    assert [words(each) for each in section.xpath(".//summary")] == [name for name in STAGES if name != "compile"]
    freeze = section.xpath(".//details[summary='freeze']")[0]
    assert f"key{digest('key freeze')}" in words(freeze)
    assert rows(freeze, "freeze: inputs") == [["checkpoint", "train", digest("key train"), digest("train")]]
    ingest = section.xpath(".//details[summary='ingest']")[0]
    assert rows(ingest, "ingest: parameters") == [["path", f"content sha256 {digest('data')}"]]


# What could not be checked.


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"run": task_run(compile=("unavailable", "no edgetpu_compiler"))},
            "The model was not compiled for the Edge TPU (stage compile: unavailable, no edgetpu_compiler).",
        ),
        ({"run": None}, "The model was not compiled for the Edge TPU: no artifact of edgetpu_compiler is here."),
        ({}, "times on the device are not measured"),
        ({"without": ["evaluate"]}, "No accuracy was measured"),
        ({"without": ["freeze"]}, "The fake-quantization of the layers was not looked at"),
        ({"change": of_metrics(gates=[])}, "No evaluation has a gate"),
        ({"change": of_metrics(schema=1)}, "The evaluation evaluate could not be read: its metrics.json has schema 1"),
        ({"change": lambda root: (root / "evaluate" / "curves.json").unlink()}, "does not hold curves.json: its precision-recall curves."),
        (
            {"change": lambda root: (root / "evaluate" / "matches.jsonl").unlink()},
            "does not hold matches.jsonl: what was found in each picture.",
        ),
        ({"classes": ["circle", "square", "star"], "change": lambda root: without_objects(root, "star")}, "has no example of star"),
    ],
)
def test_what_could_not_be_checked_is_said(page, given, says):
    assert says in page(**given).told("unchecked")


def without_objects(root, name):
    metrics = read(root / "evaluate" / "metrics.json")
    for model in metrics["models"].values():
        for row in model["per_class"]:
            if row["class"] == name:
                row.update(objects=0, ap=None, ap50=None, ar100=None, best=None)
    write(root / "evaluate" / "metrics.json", metrics)


def test_a_loss_whose_layers_are_not_known_says_why(page):
    loss = {"model": "infer-tflite", "against": "infer-frozen", "map50_change": -0.05, "map_change": -0.03, "layers": None}
    made = page(change=of_metrics(largest_loss={**loss, "layers_unknown_because": "no samples of layers were taken"}))
    assert "Which layers it comes from is not known: no samples of layers were taken." in made.told("accuracy")
    assert "Which layers the largest loss comes from (evaluate) is not known: no samples of layers were taken." in made.told("unchecked")


# Accuracy.


def test_the_ledger_tells_each_step_of_the_chain_and_its_change(page):
    section = page().part("accuracy")
    assert rows(section, "mAP of each model") == [
        ["infer-float (checkpoint in float)", "0.920", "", "0.607", ""],
        ["infer-frozen (frozen graph) largest loss", "0.850", "−0.070", "0.561", "−0.046"],
        ["infer-tflite (.tflite)", "0.800", "−0.050", "0.528", "−0.033"],
    ]
    assert "The largest loss is from infer-float to infer-frozen: −0.070 mAP@0.5, −0.046 mAP." in words(section)
    layers = rows(section, "The layers whose outputs differ most")
    assert layers[0] == ["FeatureExtractor/MobilenetV2/expanded_conv_0/project", "5 %", "", "−3.5 … 4"]
    assert len(layers) == 12
    assert len(rows(section, "The layers that differ less.")) == 4
    assert "16 layers were compared, 2 are in the first alone, 1 keep another number of values." in words(section)
    assert rows(section, "The layers that changed most at each step") == [
        ["infer-float → infer-frozen", "BoxPredictor_0/ClassPredictor", "2 %"],
        ["infer-frozen → infer-tflite", "BoxPredictor_0/ClassPredictor", "2 %"],
    ]


def test_a_chain_that_loses_nothing_says_so(page):
    assert "No step of the chain loses mAP@0.5." in page(change=of_metrics(largest_loss=None)).told("accuracy")


def test_measures_are_the_evaluations_own_and_those_that_none_has_are_left_out(page):
    section = page().part("accuracy")
    told = {row[0]: row[1:] for row in rows(section, "Each model")}
    assert told["mAP@0.5"] == ["0.920", "0.850", "0.800"]
    assert told["mAP (0.50:0.95)"] == ["0.607", "0.561", "0.528"]
    assert "mAP, large" not in told
    best = [told[name][0] for name in ("Best threshold (of F1)", "Precision there", "Recall there", "F1 there")]
    assert best == ["0.520", "0.920", "0.870", "0.900"]
    assert told["Ran with"] == ["tensorflow 2.3.0", "tensorflow 2.3.0", "ai-edge-litert 2.3.0"]
    gate = ["largest loss of mAP@0.5 against the frozen graph", "infer-tflite", "–", "0.0200", "0.0019", "✓ passed"]
    assert rows(section, "Gates") == [gate]


def test_masks_have_measures_of_their_own_where_a_model_has_them(page):
    def change(root):
        metrics = read(root / "evaluate" / "metrics.json")
        metrics["models"]["infer-float"]["masks"] = {"map": 0.5, "map50": 0.75, "per_class": []}
        write(root / "evaluate" / "metrics.json", metrics)

    told = {row[0]: row[1:] for row in rows(page(change=change).part("accuracy"), "Each model")}
    assert told["masks: mAP@0.5"] == ["0.750", "–", "–"]
    assert "masks: mAP, large" not in told


def test_classes_tell_ap_of_each_model_and_the_best_threshold_of_the_last(page):
    section = page().part("accuracy")
    assert heads(section, "AP@0.5 of each class")[2:6] == ["infer-float", "infer-frozen", "infer-tflite", "Change"]
    assert [row[:1] + row[2:] for row in rows(section, "AP@0.5 of each class")] == [
        ["circle", "0.920", "0.850", "0.800", "−0.120", "0.520", "0.800", "0.750", "0.780"],
        ["square", "0.890", "0.820", "0.770", "−0.120", "0.520", "0.800", "0.750", "0.780"],
    ]
    assert len(rows(section, "infer-frozen: each class.")[0]) == 13


def test_precision_recall_curves_are_of_all_classes_and_of_each(page):
    section = page().part("accuracy")
    every = chart(section, "All classes")
    assert description(every).startswith("Mean precision over the classes at each recall, IoU 0.5. infer-float: 1 at 0, 0 at 1.")
    assert chart_rows(every)[0] == ["0", "1", "1", "1"]
    assert chart_rows(chart(section, "square"))


def test_of_many_classes_those_with_the_least_ap_have_a_chart(page):
    classes = ["class %d" % number for number in range(30)]
    section = page(classes=classes).part("accuracy")
    titles = [words(each) for each in section.xpath(".//div[contains(@class,'small')]//figcaption")]
    assert len(titles) == 24
    assert "The 24 classes with the least AP; the other 6 have no chart:" in words(section)
    assert "class 19" in titles  # the least, as run_files makes them
    assert "class 0" not in titles
    assert len(rows(section, "AP@0.5 of each class")) == 30


def test_errors_and_confusions_are_counted_as_the_evaluation_counts_them(page, tmp_path):
    made = page(count=40)
    counted = read(tmp_path / "run0" / "evaluate" / "metrics.json")["models"]
    told = {row[0]: row[1:] for row in rows(made.part("accuracy"), "Boxes of each kind")}
    assert told["missed"] == [str(counted[name]["errors"]["missed"]) for name in counted]
    assert told["right"] == [str(counted[name]["errors"]["correct"]) for name in counted]
    matrix = rows(made.part("accuracy"), "Confusion matrix of infer-tflite")
    assert [row[0] for row in matrix] == ["circle", "square", "background"]
    assert [[int(cell) for cell in row[1:]] for row in matrix] == counted["infer-tflite"]["confusion"]["counts"]


def test_of_too_many_classes_for_a_matrix_the_most_frequent_confusions_are_listed(page):
    classes = ["class %d" % number for number in range(60)]
    section = page(classes=classes, count=60).part("accuracy")
    listed = rows(section, "Most frequent confusions of infer-tflite")
    assert 0 < len(listed) <= 30
    times = [int(row[2]) for row in listed]
    assert times == sorted(times, reverse=True)
    assert all(row[0] != row[1] for row in listed)


def test_objects_are_told_by_their_share_of_the_picture(page):
    section = page().part("accuracy")
    table = rows(section, "Objects by their share")
    assert table[0] == ["0–0.1 %", "0", "0", "0", "0"]
    assert table[2] == ["1–4 %", "90", "58 (64.4 %)", "54 (60 %)", "50 (55.6 %)"]
    assert "infer-tflite: 0.475 at 0.1–1 %" in description(chart(section, "Objects found, by their share of the picture's area"))


def test_several_evaluations_are_told_apart(page, tmp_path):
    whole_run(tmp_path / "second")
    metrics = tmp_path / "second" / "evaluate" / "metrics.json"
    write(metrics, {**read(metrics), "split": "test"})
    odapi_evaluation(tmp_path / "odapi")
    added = [artifact("evaluate-test", "evaluation", metrics.parent), artifact("evaluate-odapi", "evaluation", tmp_path / "odapi")]
    made = page(added=added)
    assert [words(each) for each in made.part("accuracy").xpath("./h3")] == ["evaluate: the split val", "evaluate-test: the split test"]
    assert [words(each) for each in made.part("protocols").xpath("./h3")] == ["evaluate-odapi: the split val"]
    assert [words(each) for each in made.part("pictures").xpath("./h3")] == ["evaluate: the split val", "evaluate-test: the split test"]
    assert "mAP@0.5 on test" in words(made.all("//ul[@class='cards']")[0])
    ids = made.all("//@id")
    assert len(ids) == len(set(ids))


def test_other_protocols_are_told_with_what_could_not_be_computed(page, tmp_path):
    odapi_evaluation(tmp_path / "odapi")
    made = page(added=[artifact("evaluate-odapi", "evaluation", tmp_path / "odapi")])
    section = made.part("protocols")
    assert "by the evaluators of Object Detection API 0.0.3" in words(section)
    assert rows(section, "PASCAL VOC, IoU 0.5") == [
        ["mAP", "0.910", "0.840", "0.790"],
        ["circle", "0.910", "0.840", "0.790"],
        ["square", "0.910", "0.840", "0.790"],
    ]
    assert rows(section, "PASCAL VOC: the evaluator's own") == [["PascalBoxes_Precision/mAP@0.5IOU", "0.91", "0.84", "0.79"]]
    assert "Not computed: no image tells which classes were looked for." in words(section)
    assert "evaluate-odapi did not compute Open Images: no image tells" in made.told("unchecked")


def test_latency_is_told_of_each_model_that_was_timed(page):
    section = page().part("latency")
    assert rows(section, "Time an image")[-1] == [
        "infer-tflite",
        ".tflite",
        "ai-edge-litert 2.3.0",
        "val",
        "12.3 ms",
        "18.5 ms",
        "2 ms",
        "5",
        "2",
    ]
    assert len(rows(section, "Time an image")) == 3


def test_another_programs_detections_have_no_latency(page):
    def change(root):
        for name in ("infer-float", "infer-frozen", "infer-tflite"):
            (root / name / "timing.json").unlink()

    assert page(change=change).part("latency") is None


# The other parts.


def test_training_shows_curves_and_where_quantization_starts(page):
    section = page().part("training")
    titles = [words(each) for each in section.xpath(".//figcaption")]
    assert titles == ["Loss", "Learning rate", "mAP of the evaluations during training"]
    for title in titles:
        figure = chart(section, title)
        assert "Quantization starts at step 300." in description(figure)
        assert len(figure.xpath(".//*[@class='pm']")) == 1
    assert "validation loss: 1.29 at 200, 0.56 at 700." in description(chart(section, "Loss"))
    assert rows(section, "Evaluations")[-1] == ["700", "0.553", "0.940", "0.56"]


def test_a_training_without_quantization_has_no_mark(page):
    def change(root):
        checkpoint = root / "train" / "checkpoint.json"
        write(checkpoint, {**read(checkpoint), "quantization_delay": None})

    section = page(change=change).part("training")
    assert "quantization starts" not in words(section)
    assert not section.xpath(".//*[@class='pm']")


@pytest.mark.parametrize(
    ("kinds", "quantized", "says"),
    [
        (("checkpoint-tf2", "saved-model"), False, "Nothing was trained for quantization"),
        (("checkpoint-garden", "saved-model"), True, "Which layers of the quantization-aware training"),
    ],
)
def test_trainings_of_tensorflow_2_are_shown_and_what_was_not_looked_at_is_told(page, kinds, quantized, says):
    def change(root):
        write(root / "more.json", {name: {"kind": kind} for name, kind in zip(("train", "freeze"), kinds, strict=True)})
        write(root / "freeze" / "graph.json", {"schema": 1, "quantized": quantized})

    made = page(change=change)
    assert [words(each) for each in made.part("training").xpath(".//figcaption")][:1] == ["Loss"]
    assert made.part("quantization") is None
    assert says in words(made.part("unchecked"))


def test_the_other_parts_show_what_their_artifacts_say(page):
    made = page()
    assert rows(made.part("quantization"), "Layers between") == [
        ["Conv2D", "2", "2"],
        ["DepthwiseConv2dNative", "1", "1"],
        ["ConcatV2", "1", "1"],
    ]
    assert rows(made.part("model"), "Operators") == [["CONV_2D", "35", "built in"], ["TFLite_Detection_PostProcess", "1", "custom"]]
    assert rows(made.part("model"), "Inputs")[0][1:] == ["input", "uint8", "1 × 160 × 160 × 3", "0.0078125", "128"]
    assert rows(made.part("configuration"), "What was changed")[0] == ["model.ssd.num_classes", "90", "2", "classes of the label map"]
    assert rows(made.part("package"), "package")[0][:2] == ["labels.txt", "14 B"]
    assert made.told("warnings") == "Warnings configure the batch is small"


def test_a_layer_without_ranges_is_named(page):
    def change(root):
        audit = read(root / "freeze" / "fake_quant_audit.json")
        audit["layers"][1].update(status="no fake-quantization of its output", range=None)
        write(root / "freeze" / "fake_quant_audit.json", audit)

    section = page(change=change).part("quantization")
    assert rows(section, "Layers between")[1] == ["DepthwiseConv2dNative", "1", "0"]
    name = "FeatureExtractor/MobilenetV2/Conv_1/depthwise"
    assert f"1 of 4 layers have something wrong: {name} no fake-quantization of its output" in words(section)


def test_a_compiled_model_is_told_and_that_it_was_not_run(report, tmp_path):
    entries = whole_run(tmp_path / "run")
    folder = tmp_path / "run" / "compile"
    write(folder / "compile.json", {"schema": 1, "compiler": {"name": "edgetpu_compiler", "version": "16.0"}, "seconds": 12.5})
    write(folder / "compiler.log", "Model compiled successfully <in> 12 ms.\n")
    (folder / "model_edgetpu.tflite").write_bytes(bytes(3000))
    entries["compile"] = manifest(folder, "compile")
    made = report(entries.values(), task_run())
    assert "edgetpu_compiler 16.0" in made.told("edgetpu")
    assert "Model compiled successfully <in> 12 ms." in made.told("edgetpu")
    assert "No Edge TPU took part: the compiled model was not run." in made.told("unchecked")
    assert "was not compiled" not in made.told("unchecked")


def test_a_compiled_model_that_was_run_is_not_said_to_be_unchecked(page, tmp_path):
    def change(root):
        path = root / "infer-tflite" / "inference.json"
        write(path, {**read(path), "model": {"kind": "edgetpu", "runtime": "LiteRT", "version": "2.3.0"}})

    folder = tmp_path / "compile"
    write(folder / "compile.json", {"schema": 1, "compiler": {"name": "edgetpu_compiler", "version": "16.0"}, "seconds": 12.5})
    made = page(change=change, added=[manifest(folder, "compile")])
    assert rows(made.part("latency"), "Time an image")[-1][:3] == ["infer-tflite", "compiled for the Edge TPU", "LiteRT 2.3.0"]
    assert "No Edge TPU took part" not in made.told("unchecked")


# What is absent, and what is hostile.

# Which parts go with a stage's artifact.
PARTS = {
    "ingest": ["dataset", "pictures"],
    "configure": ["configuration"],
    "train": ["training"],
    "freeze": ["quantization"],
    "convert": ["model"],
    "evaluate": ["accuracy", "pictures"],
    "package": ["package"],
    "records": [],
}
ALWAYS = {"unchecked", "stages", "latency", "provenance", "warnings"}


@pytest.mark.parametrize(("name", "parts"), PARTS.items())
def test_an_absent_artifact_leaves_only_its_part_out(page, name, parts):
    there = set(page(without=[name]).parts())
    assert there.isdisjoint(parts)
    assert there | set(parts) | {"warnings"} == ALWAYS.union(*PARTS.values())


def test_a_page_can_be_made_from_nothing(page):
    made = page(without=list(STAGES), run=None)
    assert made.parts() == ["unchecked"]
    assert "No accuracy was measured" in made.text


@pytest.mark.parametrize("left", [["schema", "models"], ["schema", "models", "order"], ["schema", "models", "per_class", "ledger"]])
def test_an_evaluation_that_holds_little_is_told_as_far_as_it_goes(page, left):
    def change(root):
        metrics = read(root / "evaluate" / "metrics.json")
        metrics["models"] = {name: {"map50": each["map50"]} for name, each in metrics["models"].items()}
        write(root / "evaluate" / "metrics.json", {name: metrics[name] for name in left})
        for name in ("curves.json", "matches.jsonl"):
            (root / "evaluate" / name).unlink()

    made = page(change=change)
    assert rows(made.part("accuracy"), "Each model")[0] == ["mAP@0.5", "0.920", "0.850", "0.800"]
    assert made.part("pictures") is None
    assert "does not hold curves.json" in made.told("unchecked")


def test_what_is_no_number_is_told_as_absent(page):
    def change(root):
        path = root / "evaluate" / "metrics.json"
        write(path, path.read_text(encoding="utf-8").replace('"map75": 0.644', '"map75": NaN'))
        history = root / "train" / "history.json"
        write(history, re.sub(r'"loss": [0-9.]+', '"loss": Infinity', history.read_text(encoding="utf-8"), count=20))

    made = page(change=change)
    assert rows(made.part("accuracy"), "Each model")[2] == ["mAP@0.75", "–", "0.595", "0.560"]
    visible = words(made.all("//main")[0]).lower()
    assert not re.search(r"\bnan\b|\binf(inity)?\b", visible)


HOSTILE = ["<script>alert(1)</script>", "a\" onload='x' & <b>", "$x^2$ {{ 7 * 7 }}", "猫 🐈‍⬛ é", "n" * 400]


def test_names_from_the_data_are_text_and_never_markup(page, tmp_path):
    def change(root):
        write(root / "more.json", {"train": {"warnings": ["<img src=x onerror=alert(2)>"], "tools": {"<i>tool</i>": "1 & 2"}}})
        config = read(root / "configure" / "config.json")
        config["changes"][0].update(field="<u>field</u>", to={"a": "</td>"})
        write(root / "configure" / "config.json", config)
        write(root / "train" / "history.json", {"schema": 1, "steps": [], "evaluations": []})

    run = task_run(compile=("unavailable", "</span><h1>reason</h1>"))
    run["pipeline"] = "<h1>pipe & line</h1>"
    chain = [("<b>infer</b>", "float-checkpoint", "tf<i>", 0.9), ("\"x' </script>", "tflite", "lite", 0.8)]
    made = page(run=run, classes=HOSTILE, change=change, chain=chain, count=30)
    assert len(made.all("//script")) == 1
    assert not made.all("//i[normalize-space()!='background']|//u|//@onload|//@onerror|//img[@src='x']|//main//script")
    assert len(made.all("//h1")) == 1
    assert words(made.all("//h1")[0]) == "<h1>pipe & line</h1>"
    assert [row[0] for row in rows(made.part("accuracy"), "AP@0.5 of each class")] == HOSTILE
    assert heads(made.part("accuracy"), "Each model")[1:] == ["<b>infer</b>", "\"x' </script>"]
    assert "<img src=x onerror=alert(2)>" in made.told("warnings")
    assert "<i>tool</i> 1 & 2" in made.told("provenance")
    labels = made.all("//@aria-label")
    assert all(any(name in label for label in labels) for name in HOSTILE)
    titles = {words(each) for each in made.part("accuracy").xpath(".//figcaption")}
    assert set(HOSTILE) <= titles


def test_a_file_that_is_no_json_is_named(run_here, tmp_path):
    entries = whole_run(tmp_path / "run")
    write(tmp_path / "run" / "evaluate" / "metrics.json", '{"schema": 2')
    outcome = run_here("report", {"pictures": 1, "picture_bytes": 10000}, {"artifacts": list(entries.values())})
    assert outcome.error["what"] == "a file of an artifact cannot be read"
    assert outcome.error["where"].endswith("evaluate/metrics.json")


def test_the_same_artifacts_give_the_same_page_in_another_process_too(page, run_stage, tmp_path):
    made = page(run=None)
    assert page(run=None).text == made.text
    entries = [manifest(tmp_path / "run0" / name, name) for name in STAGES if name != "compile"]
    outcome = run_stage("report", {"pictures": 8, "picture_bytes": 2000000}, {"artifacts": entries})
    assert outcome.code == 0, outcome.log
    assert (outcome.output / "report.html").read_text(encoding="utf-8") == made.text
    assert outcome.result["metrics"] == {"bytes": len(made.text.encode()), "pictures": 5}
    assert set(outcome.result["tools"]) == {"jinja2", "matplotlib", "pillow"}
