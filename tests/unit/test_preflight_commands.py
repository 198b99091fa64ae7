"""`edgetpu.preflight`: a pipeline's models with untrained weights, and what is predicted of them."""

import re

import pytest
from mini import only

KINDS = {kind: {"help": "A kind.", "files": [{"path": "told.txt"}]} for kind in ("words", "weights", "tflite", "edgetpu", "evaluation")}
KINDS["edgetpu-prediction"] = {"help": "A prediction.", "files": [{"path": "prediction.txt"}]}
PATH = {"type": "string", "format": "path", "description": "Where."}
TEXT = {"type": "string", "description": "A word."}
UNTRAINED = {"type": "boolean", "default": False, "description": "No step."}
LEARNS = {"words": {"kind": "words"}, "start": {"kind": "weights", "optional": True}}
STAGES = {
    "read-words": ({}, {"path": PATH}, "words"),
    "fit": (LEARNS, {"untrained": UNTRAINED, "steps": {"type": "integer", "default": 9, "description": "Steps."}}, "weights"),
    "turn": ({"weights": {"kind": "weights"}}, {"precision": TEXT}, "tflite"),
    "import-tflite": ({}, {"path": PATH}, "tflite"),
    "measure": ({"model": {"kind": "tflite"}}, {}, "evaluation"),
    "compile": ({"model": {"kind": "tflite"}}, {"target": TEXT}, "edgetpu"),
    "predict-edgetpu": (
        {"model": {"kind": "tflite", "optional": True}},
        {"path": PATH, "target": TEXT, "max_cpu_ops": {"type": "integer", "description": "Most."}},
        "edgetpu-prediction",
    ),
}
BODY = "(task.output / 'told.txt').write_text(' '.join([task.name] + sorted(told(each) for each in bound(task)) + given(task)))"
PROGRAMS = {
    "turn": BODY
    + """
    if task.params["precision"] == "none":
        raise StageError("there is no such precision", "turn.precision")
""",
    "predict-edgetpu": """
    (task.output / "prediction.txt").write_text("%s for %s\\n" % (told(task.input("model")), task.params["target"]))
    if task.params["max_cpu_ops"] == 0:
        raise StageError("more of the model would run on the CPU", "model.tflite")
""",
}
PROGRAM = """from pathlib import Path
from _runtime import StageError, run
def told(artifact):
    return (artifact.path / "told.txt").read_text()
def bound(task):
    return [task.input(name) for name in sorted(task._inputs) if task.input(name)]
def given(task):
    return ["%s=%s" % item for item in sorted(task.params.items()) if item[0] != "path" and item[1] is not None]
def main(task):
    BODY
run(main)
"""
PIPELINE = """
schema: 1
stages:
  words: {stage: read-words, params: {path: ../data/words.txt}}
  fit: {inputs: {words: words}}
  turn: {inputs: {weights: fit}, params: {precision: eight}}
"""
COMPILED = "  compile: {inputs: {model: turn}, optional: true}\n"
FLOAT = "  turn-float: {stage: turn, inputs: {weights: fit}, params: {precision: float}}\n"
NO_STEP = "fit steps=9 untrained=True words"


@pytest.fixture
def project(mini):
    """The small project, with stages that do little."""
    mini.add_stages(KINDS, STAGES, {name: PROGRAM.replace("BODY", PROGRAMS.get(name, BODY)) for name in STAGES})
    return mini


def preflight(project, text, *arguments, status=0):
    """Look at a pipeline before it is trained; what the command line gave."""
    project.write_pipeline(text)
    result = project.mill("edgetpu.preflight", "-p", "own", *arguments)
    assert result.returncode == status, result.stderr
    return result


def predicted(said):
    """{step: what was predicted of the model that it made}."""
    return dict(re.findall(r"^(\S+), with untrained weights\n(.*)\nall of it: ", said, re.MULTILINE))


def ran(result):
    """The steps that were built."""
    return [line.split()[0] for line in result.stderr.splitlines() if line.startswith("  ") and ("ran" in line or "published" in line)]


def test_what_would_be_compiled_is_made_of_an_untrained_model_and_nothing_else_is_made(project):
    result = preflight(project, PIPELINE + COMPILED + FLOAT + "  measure: {inputs: {model: turn}}\n")
    told = predicted(result.stdout)
    assert list(told) == ["turn"]
    assert "untrained=True" in told["turn"]
    assert "precision=eight" in told["turn"]
    assert ran(result) == ["words", "fit", "turn", "predict-edgetpu"]
    folder = project.root / result.stdout.rpartition("all of it: ")[2].strip()
    assert (folder / "prediction.txt").read_text().strip() == told["turn"]


def test_without_a_compiler_each_model_that_is_trained_is_told(project):
    project.file = (project.root / "data" / "other.txt").write_text("another")
    text = PIPELINE + FLOAT + "  other: {stage: import-tflite, params: {path: ../data/other.txt}}\n"
    told = predicted(preflight(project, text).stdout)
    assert sorted(told) == ["turn", "turn-float"]
    assert "precision=float" in told["turn-float"]


def test_of_trainings_that_build_on_each_other_none_does_a_step(project):
    more = "  go-on: {stage: fit, inputs: {words: words, start: fit}, params: {steps: 3}}\n"
    told = predicted(preflight(project, PIPELINE.replace("weights: fit", "weights: go-on") + more).stdout)
    assert told["turn"].count("untrained=True") == 2
    assert "steps=3" in told["turn"]


def test_no_setting_makes_it_train(project):
    told = predicted(preflight(project, PIPELINE, "--set", "fit.untrained=false", "--set", "fit.steps=4").stdout)
    assert "steps=4 untrained=True" in told["turn"]


def test_the_pipelines_own_prediction_is_taken_with_its_parameters(project):
    own = "  foresee: {stage: predict-edgetpu, inputs: {model: turn}, params: {target: mine}}\n"
    result = preflight(project, PIPELINE + COMPILED + own)
    assert predicted(result.stdout)["turn"].endswith("for mine")
    assert ran(result)[-1] == "foresee"
    assert predicted(preflight(project, PIPELINE + COMPILED + own, "--target", "yours").stdout)["turn"].endswith("for yours")


FOR = "  compile{}: {{stage: compile, inputs: {{model: {}}}, params: {{target: {}}}}}\n"
OWN = "  foresee: {stage: predict-edgetpu, inputs: {model: turn}}\n"


@pytest.mark.parametrize("own", ["", OWN])
def test_what_is_predicted_is_for_the_target_that_the_pipeline_compiles_for(project, own):
    text = PIPELINE + FLOAT + own + FOR.format("", "turn", "old")
    assert predicted(preflight(project, text).stdout)["turn"].endswith("for old")
    assert predicted(preflight(project, text, "--set", "compile.target=older").stdout)["turn"].endswith("for older")
    assert predicted(preflight(project, text, "--target", "yours").stdout)["turn"].endswith("for yours")


def test_each_model_is_for_the_target_that_it_is_compiled_for(project):
    told = predicted(preflight(project, PIPELINE + FLOAT + FOR.format("", "turn", "old") + FOR.format("-2", "turn-float", "new")).stdout)
    assert [told[name].rpartition(" ")[2] for name in ("turn", "turn-float")] == ["old", "new"]


def test_what_the_pipelines_own_prediction_says_of_the_target_goes_before(project):
    own = OWN.replace("turn}", "turn}, params: {target: mine}")
    text = PIPELINE + FOR.format("", "turn", "old") + FOR.format("-2", "turn", "new") + own
    assert predicted(preflight(project, text).stdout)["turn"].endswith("for mine")


def test_a_model_that_is_compiled_for_several_targets_needs_to_be_told_one(project):
    text = PIPELINE + FOR.format("", "turn", "old") + FOR.format("-2", "turn", "new")
    result = preflight(project, text, status=2)
    assert "turn is compiled for several targets" in result.stderr
    assert "compile: old, compile-2: new" in result.stderr
    assert "--target" in result.stderr
    assert predicted(preflight(project, text, "--target", "new").stdout)["turn"].endswith("for new")
    same = PIPELINE + FOR.format("", "turn", "old") + FOR.format("-2", "turn", "old")
    assert predicted(preflight(project, same).stdout)["turn"].endswith("for old")


def test_a_model_that_only_the_pipeline_predicts_about_is_the_one_that_is_meant(project):
    own = "  foresee: {stage: predict-edgetpu, inputs: {model: turn}}\n"
    assert list(predicted(preflight(project, PIPELINE + FLOAT + own).stdout)) == ["turn"]


def test_what_is_optional_in_the_pipeline_is_needed_here(project):
    text = PIPELINE.replace("precision: eight}", "precision: none}, optional: true")
    result = preflight(project, text, status=1)
    assert "error: the stage 'turn' failed: there is no such precision" in result.stderr
    assert result.stdout == ""


def test_a_prediction_that_is_worse_than_allowed_is_printed_and_ends_with_1(project):
    result = preflight(project, PIPELINE, "--max-cpu-ops", "0", status=1)
    assert "turn, with untrained weights" in result.stdout
    assert "untrained=True" in result.stdout
    assert "error: the stage 'predict-edgetpu' failed: more of the model would run on the CPU" in result.stderr


def test_what_was_built_stays_where_it_was(project):
    project.write_pipeline(PIPELINE)
    assert project.mill("build", "-p", "own").returncode == 0
    link = project.workspace.pipelines / "own" / "fit"
    before = link.resolve()
    preflight(project, PIPELINE)
    assert link.resolve() == before
    assert "untrained=False" in (link / "told.txt").read_text()
    again = project.mill("build", "-p", "own").stderr
    assert not re.search(r"\bran\b", again)


def test_nothing_is_made_twice(project):
    preflight(project, PIPELINE)
    assert not re.search(r"\bran\b", preflight(project, PIPELINE).stderr)


def test_clean_removes_what_it_made_too(project):
    preflight(project, PIPELINE)
    made = project.workspace.artifacts / "fit"
    assert only(made.iterdir())
    assert project.mill("clean", "-p", "own").returncode == 0
    assert not any(made.iterdir())
    assert not any(project.workspace.pipelines.iterdir())


@pytest.mark.parametrize(
    ("text", "arguments", "says"),
    [
        ("schema: 1\nstages: {words: {stage: read-words, params: {path: ../data/words.txt}}}\n", [], "the pipeline trains nothing"),
        (PIPELINE.partition("  turn:")[0], [], "no tflite is made of what the pipeline trains"),
        (PIPELINE.replace("words.txt", "gone.txt"), [], "gone.txt"),
        (PIPELINE, ["--set", "fit.stpes=1"], "did you mean 'steps'?"),
        (PIPELINE, ["--max-cpu-ops", "many"], "max_cpu_ops"),
    ],
)
def test_a_wrong_request_ends_with_2_and_runs_nothing(project, text, arguments, says):
    assert says in preflight(project, text, *arguments, status=2).stderr
    assert not project.workspace.root.exists()


def test_an_imported_model_is_nothing_that_is_trained(project):
    text = "schema: 1\nstages: {given: {stage: import-tflite, params: {path: ../data/words.txt}}}\n"
    assert "./mill edgetpu.predict" in preflight(project, text, status=2).stderr
