"""The package holds what the device needs, says truly what it is, and is not made of anything that would not work there."""

import ast
import hashlib
import json
import re
import subprocess
import sys

import pytest
from synthetic import write
from whole_run import BEST, CLASSES, MODEL, digest, manifest, metrics, read, whole_run

FILES = [
    "LICENSES.md",
    "README.md",
    "SHA256SUMS",
    "detect.py",
    "inputs.json",
    "label_map.pbtxt",
    "labels.txt",
    "model.json",
    "model.tflite",
    "parity.py",
    "pipeline.config",
    "provenance.intoto.jsonl",
]
STATEMENTS = '{"_type": "https://in-toto.io/Statement/v1", "predicate": {"startedOn": "2026-01-01T00:00:00Z"}}\n'


@pytest.fixture
def package(run_stage, tmp_path):
    """package(change=…) runs the stage on a whole synthetic run; `change(root)` may alter files, or return entries to bind instead."""

    def call(change=None, **kinds):
        root = tmp_path / "run"
        entries = whole_run(root, **kinds)
        write(root / "evaluate" / "metrics.json", metrics(kinds.get("classes", CLASSES)))
        inputs = {
            "model": entries["convert"],
            "compiled": None,
            "graph": entries["freeze"],
            "dataset": entries["ingest"],
            "evaluation": entries["evaluate"],
        }
        inputs.update((change and change(root)) or {})
        return run_stage("package", {}, inputs, scratch={"provenance.intoto.jsonl": STATEMENTS})

    return call


def text(outcome, name):
    assert outcome.code == 0, outcome.log
    return (outcome.output / name).read_text(encoding="utf-8")


def compiled(root, digest_of_model=None):
    folder = root / "compile"
    folder.mkdir()
    (folder / "model_edgetpu.tflite").write_bytes(b"\x1c\0\0\0TFL3edgetpu-custom-op" + bytes(2000))
    entry = manifest(folder, "compile")
    if digest_of_model:
        told = read(folder / "manifest.json")
        told["inputs"]["model"] = {"name": "convert", "stage": "convert", "key": digest("key convert"), "digest": digest_of_model}
        write(folder / "manifest.json", told)
    return {"compiled": entry}


def test_the_package_holds_these_files(package):
    outcome = package()
    assert sorted(path.name for path in outcome.output.iterdir()) == FILES
    assert (outcome.output / "model.tflite").read_bytes() == MODEL


def test_the_configuration_is_the_one_of_whatever_trained_it(package):
    def by_the_garden(root):
        (root / "freeze" / "pipeline.config").rename(root / "freeze" / "experiment.yaml")

    outcome = package(by_the_garden)
    assert sorted(path.name for path in outcome.output.iterdir()) == sorted([*set(FILES) - {"pipeline.config"}, "experiment.yaml"])
    assert "`experiment.yaml`" in text(outcome, "README.md")
    assert "Model Garden" in text(outcome, "LICENSES.md")


def test_an_imported_model_has_no_graph_and_no_configuration(package):
    outcome = package(lambda _: {"graph": None})
    assert sorted(path.name for path in outcome.output.iterdir()) == sorted(set(FILES) - {"pipeline.config"})
    assert "the configuration that it was trained with" not in text(outcome, "README.md")


def test_a_compiled_model_is_taken_along(package):
    outcome = package(lambda root: compiled(root, "d" * 64))
    assert sorted(path.name for path in outcome.output.iterdir()) == sorted([*FILES, "model_edgetpu.tflite"])
    assert "--edgetpu" in text(outcome, "README.md")
    assert "edgetpu_compiler" in text(outcome, "LICENSES.md")
    assert "model_edgetpu.tflite" in text(outcome, "SHA256SUMS")


def test_a_model_that_is_compiled_in_segments_is_refused(package):
    def in_segments(root):
        entry = compiled(root, "d" * 64)
        for number in (1, 0):
            (root / "compile" / ("model_segment_%d_of_2_edgetpu.tflite" % number)).write_bytes(bytes(2000))
        (root / "compile" / "model_edgetpu.tflite").unlink()
        return entry

    outcome = package(in_segments)
    assert outcome.error["what"] == "the model is compiled in 2 segments, each for an Edge TPU of its own, and package takes a whole one"
    assert outcome.error["found"] == "model_segment_0_of_2_edgetpu.tflite, model_segment_1_of_2_edgetpu.tflite"
    assert "without `segments`" in outcome.error["remedy"]
    assert not list(outcome.output.iterdir())


def test_labels_count_from_0_where_the_label_map_counts_from_1(package):
    outcome = package(classes=["zebra", "ace", "King of ♥"])
    assert text(outcome, "labels.txt") == "zebra\nace\nKing of ♥\n"
    assert re.search(r"id: 1\s+name: 'zebra'", text(outcome, "label_map.pbtxt"))
    assert json.loads(text(outcome, "model.json"))["classes"] == ["zebra", "ace", "King of ♥"]


def test_the_checksums_are_those_of_all_files_and_sha256sum_accepts_them(package):
    outcome = package()
    lines = [line.split("  ") for line in text(outcome, "SHA256SUMS").splitlines()]
    assert [name for _, name in lines] == sorted(set(FILES) - {"SHA256SUMS", "provenance.intoto.jsonl"})
    assert all(hashlib.sha256((outcome.output / name).read_bytes()).hexdigest() == digest for digest, name in lines)
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=outcome.output, check=True, stdout=subprocess.DEVNULL)


WENT_IN = ["configure", "convert", "evaluate", "freeze", "infer-frozen", "infer-tflite", "ingest", "records", "train"]


def keys(*names):
    return [digest("key " + name) for name in names]


def test_inputs_tell_what_decided_every_stage(package):
    told = json.loads(text(package(), "inputs.json"))
    stages = told["stages"]
    assert told["schema"] == 2
    assert list(stages) == sorted(keys(*WENT_IN))
    assert all(set(entry) == {"stage", "digest", "image", "params", "inputs"} for entry in stages.values())
    assert {entry["stage"]: entry["digest"] for entry in stages.values()} == {name: digest(name) for name in WENT_IN}
    assert stages[digest("key ingest")]["params"] == {"path": {"sha256": digest("data")}}
    assert stages[digest("key evaluate")]["inputs"] == {"dataset": keys("ingest"), "detections": keys("infer-frozen", "infer-tflite")}


def renamed(root):
    """The artifacts as a pipeline with other names for its steps would have made them."""
    for path in root.glob("*/manifest.json"):
        told = read(path)
        for entry in told["lineage"].values():
            entry["name"] = "my-" + entry["name"]
        write(path, {**told, "name": "my-" + told["name"]})


def test_the_names_of_steps_do_not_count(package):
    assert text(package(renamed), "inputs.json") == text(package(), "inputs.json")


def by_name(root):
    """The artifacts with their lineage as it was once written."""
    for path in root.glob("*/manifest.json"):
        told = read(path)
        names = {key: entry["name"] for key, entry in told["lineage"].items()}
        lineage = {}
        for entry in told["lineage"].values():
            inputs = {into: [names[key] for key in feeders] for into, feeders in entry["inputs"].items()}
            lineage[entry["name"]] = {field: entry[field] for field in ("stage", "key", "image", "params")}
            lineage[entry["name"]]["inputs"] = inputs
        write(path, {**told, "lineage": lineage})


def test_older_manifests_are_read_as_well(package):
    older, newer = (json.loads(text(package(change), "inputs.json"))["stages"] for change in (by_name, None))
    digests = {entry["stage"]: entry.pop("digest") for stages in (newer, older) for entry in stages.values()}
    assert older == newer
    # They told digests of direct inputs alone.
    assert {name for name, value in digests.items() if value is None} == {"configure", "records"}


def test_the_provenance_of_the_inputs_is_taken_along_as_it_is(package):
    assert text(package(), "provenance.intoto.jsonl") == STATEMENTS


def test_the_package_holds_no_path_of_this_machine_and_no_time(package, tmp_path):
    outcome = package()
    everything = b"".join(path.read_bytes() for path in outcome.output.iterdir() if path.name != "provenance.intoto.jsonl")
    assert str(tmp_path).encode() not in everything
    assert b"2026" not in everything
    assert b'"seconds' not in everything


def test_the_same_inputs_give_the_same_bytes(package):
    first, second = package(), package()
    assert all((first.output / name).read_bytes() == (second.output / name).read_bytes() for name in FILES)


def test_the_readme_tells_the_evaluations_numbers(package):
    readme = text(package(), "README.md")
    assert "| infer-frozen | 0.941 | – | 0.641 | 0.841 | 0.841 |" in readme
    assert "| infer-tflite | 0.939 | −0.002 | 0.639 | 0.839 | 0.839 |" in readme
    assert "| square | 5 | 0.939 | 0.639 | 0.512 | 0.900 | 0.800 | 0.847 |" in readme
    assert "split `val`: 5 images, 10 objects. `infer-tflite` is this model." in readme
    assert "uint8, input 160 × 160 pixels (RGB), 2 classes" in readme


def test_without_an_evaluation_the_readme_says_so(package):
    readme = text(package(lambda _: {"evaluation": None}), "README.md")
    assert "It was not evaluated: `detect.py` takes what scores 0.5 or more" in readme
    assert "mAP" not in readme


def test_every_table_of_the_readme_is_one(package):
    """Each row has as many cells as its head."""
    for change in (None, odapi, unfound, lambda _: {"evaluation": None}):
        head = 0
        for line in text(package(change), "README.md").splitlines():
            cells = len(re.findall(r"(?<!\\)\|", line))
            assert cells in (0, head) or not head, line
            head = cells


def evaluated(change):
    """A change of a whole run: `change(report)` alters its metrics.json."""

    def call(root):
        report = metrics()
        change(report)
        write(root / "evaluate" / "metrics.json", report)

    return call


def model_json(outcome):
    return json.loads(text(outcome, "model.json"))


def test_the_thresholds_are_those_of_the_evaluations_best_f1(package):
    outcome = package()
    assert model_json(outcome)["threshold"] == 0.456
    assert model_json(outcome)["thresholds"] == {"circle": 0.412, "square": 0.512}
    readme = text(outcome, "README.md")
    assert "The threshold is the score at which F1 on the split `val` was highest (IoU 0.5)." in readme
    assert "| all | 10 | 0.939 | 0.639 | 0.456 | 0.900 | 0.800 | 0.847 |" in readme


def test_the_thresholds_are_the_packaged_models_own(package):
    """Another model of the evaluation, compared with it, has others."""

    def change(report):
        report["models"]["infer-frozen"]["best"] = {**BEST, "score": 0.9}
        report["models"]["infer-frozen"]["per_class"][0]["best"] = {**BEST, "score": 0.9}
        report["order"].reverse()
        report["threshold"] = 0.9

    told = model_json(package(evaluated(change)))
    assert (told["threshold"], told["thresholds"]["circle"]) == (0.456, 0.412)


def test_a_class_of_which_nothing_was_found_has_no_threshold_of_its_own(package):
    def change(report):
        report["models"]["infer-tflite"]["per_class"][1]["best"] = None

    outcome = package(evaluated(change))
    assert model_json(outcome)["thresholds"] == {"circle": 0.412, "square": None}
    assert "| square | 5 | 0.939 | 0.639 | – | – | – | – |" in text(outcome, "README.md")


def unfound(root):
    evaluated(lambda report: report.update(metrics(best=None), threshold=None))(root)


def odapi(root):
    """An evaluation by the Object Detection API's evaluators, which tells means alone."""
    models = {name: {"model": each["model"], "detections": 3} for name, each in metrics()["models"].items()}
    means = {name: {"map": 0.5, "per_class": [], "metrics": {}} for name in models}
    title = "PASCAL VOC 2010"
    told = {
        **{key: value for key, value in metrics().items() if key not in ("threshold", "objects")},
        "protocol": "odapi",
        "evaluator": {"name": "Object Detection API", "version": "0.0.3"},
        "models": models,
        "protocols": [
            {"protocol": "pascal-voc", "title": title, "iou": 0.5, "models": means, "not_computed_because": None},
            {"protocol": "masks", "title": "Masks", "iou": 0.5, "models": {}, "not_computed_because": "the model has no masks"},
        ],
    }
    write(root / "evaluate" / "metrics.json", told)


@pytest.mark.parametrize("change", [unfound, odapi, lambda _: {"evaluation": None}])
def test_without_thresholds_that_is_said(package, change):
    outcome = package(change)
    assert model_json(outcome)["threshold"] is None
    assert "`detect.py` takes what scores 0.5 or more, or `--threshold`." in text(outcome, "README.md")


def test_an_evaluation_by_other_protocols_is_told_as_well(package):
    readme = text(package(odapi), "README.md")
    assert "| PASCAL VOC 2010 | 0.500 | 0.500 |" in readme
    assert "| Masks | – | – |" in readme


@pytest.mark.parametrize(
    ("order", "outputs"),
    [
        (["boxes", "classes", "scores", "count"], {"boxes": 0, "classes": 1, "scores": 2, "count": 3}),
        (["scores", "boxes", "count", "classes"], {"scores": 0, "boxes": 1, "count": 2, "classes": 3}),
        (None, None),
    ],
)
def test_which_output_is_which_is_told_where_the_lint_knows_it(package, order, outputs):
    def change(root):
        lint = read(root / "convert" / "lint.json")
        write(root / "convert" / "lint.json", {**lint, "output_order": order})

    assert model_json(package(change))["outputs"] == outputs


def test_a_class_name_cannot_break_the_readmes_table(package):
    assert "| a\\|b\\*c\\* | 5 |" in text(package(classes=["a|b*c*"]), "README.md")


def test_the_readme_lists_every_file(package):
    readme = text(package(lambda root: compiled(root, "d" * 64)), "README.md")
    listed = re.findall(r"^\| `([^`]+)` \|", readme, re.MULTILINE)
    assert sorted(listed) == sorted({*FILES, "model_edgetpu.tflite"} - {"README.md"})


def test_a_model_with_raw_outputs_brings_its_anchors(package):
    def raw(root):
        lint = read(root / "convert" / "lint.json")
        write(root / "convert" / "lint.json", {**lint, "postprocess": None})
        (root / "convert" / "anchors.npy").write_bytes(b"\x93NUMPY" + bytes(200))

    outcome = package(raw)
    assert (outcome.output / "anchors.npy").is_file()
    assert json.loads(text(outcome, "model.json"))["postprocess"] is False


def test_a_warm_start_is_told_among_the_licences(package):
    def warm(root):
        for name in ("convert", "freeze", "evaluate"):
            told = read(root / name / "manifest.json")
            told["lineage"][digest("key train")]["params"] = {"warm_start": {"sha256": "0" * 64}}
            write(root / name / "manifest.json", told)

    assert "warm_start" in text(package(warm), "LICENSES.md")
    assert "warm_start" not in text(package(), "LICENSES.md")


def unusable(root):
    lint = read(root / "convert" / "lint.json")
    write(root / "convert" / "lint.json", {**lint, "usable": False, "unusable_because": "it has dummy ranges [0, 6]"})


def other_labels(root):
    write(root / "convert" / "labels.json", {"schema": 1, "classes": ["square", "circle"]})


def other_graph(root):
    write(root / "freeze" / "graph.json", {**read(root / "freeze" / "graph.json"), "classes": ["circle"]})


def other_label_map(root):
    write(root / "ingest" / "label_map.pbtxt", "item { id: 1 name: 'square' } item { id: 2 name: 'circle' }")


def other_evaluation(root):
    evaluated(lambda report: report["models"]["infer-tflite"]["model"].update(sha256="0" * 64))(root)


def older_evaluation(root):
    evaluated(lambda report: report.update(schema=1))(root)


@pytest.mark.parametrize(
    ("change", "what", "found"),
    [
        (unusable, "the model is marked as not for use, so no package is made of it", "it has dummy ranges [0, 6]"),
        (other_labels, "the model and the dataset do not have the same classes in the same order", "square, circle"),
        (other_graph, "the model and the dataset do not have the same classes in the same order", "circle"),
        (other_label_map, "the model and the dataset do not have the same classes in the same order", "circle, square"),
        (other_evaluation, "the evaluation is of another model", "infer-tflite: " + "0" * 64),
        (older_evaluation, "the evaluation has another schema", "1"),
        (lambda root: compiled(root, "e" * 64), "the compiled model was made from another model", "e" * 64),
    ],
)
def test_what_would_not_work_is_refused(package, change, what, found):
    outcome = package(change)
    assert outcome.code == 1
    assert outcome.error["what"] == what
    assert found in outcome.error["found"]
    assert outcome.error["remedy"]
    assert not (outcome.output / "SHA256SUMS").exists()


def test_a_class_name_of_two_lines_is_refused(package):
    def change(root):
        name = "two\u2028lines"
        write(root / "ingest" / "label_map.pbtxt", "item { id: 1 name: '%s' }" % name)
        write(root / "convert" / "labels.json", {"schema": 1, "classes": [name]})
        write(root / "freeze" / "graph.json", {**read(root / "freeze" / "graph.json"), "classes": [name]})

    assert package(change).error["what"] == "a class name cannot be written as one line of labels.txt"


@pytest.mark.parametrize(("name", "videos"), [("detect.py", {"av", "cv2"}), ("parity.py", set())])
def test_its_programs_need_only_litert_numpy_and_pillow_and_for_videos_pyav_or_opencv_and_python_3_7(package, name, videos):
    source = text(package(), name)
    tree = ast.parse(source, feature_version=(3, 7))
    imported = {
        (alias.name if isinstance(node, ast.Import) else node.module).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert imported - set(sys.stdlib_module_names) == {"numpy", "PIL", "ai_edge_litert", "tflite_runtime", *videos}
    assert not any(line.startswith("# HERE") for line in source.splitlines())
