"""What a training resumes from and what it exports, when checkpoints are damaged."""

import json

import pytest

from stage_helpers import load

program = load("train", "run")
checkpoints = load("_training", "checkpoints")
exports = load("_training", "export")
loop = load("_training", "loop")
progress = load("_training", "progress")

PLAN = loop.Plan(num_steps=30, delay=5, checkpoint_every=10, evaluate_every=10, keep=3, deterministic=False)


class Task:
    """A task of which only the folders, the parameters and what is told to the user matter."""

    def __init__(self, path, export):
        self.output, self.scratch = path / "output", path / "scratch"
        self.params = {"export": export, "keep_float": True, "seed": 1, "intra_op_threads": 1}
        self.said, self.warned, self.metrics = [], [], {}
        for folder in (self.output, self.scratch / "events"):
            folder.mkdir(parents=True)

    def say(self, text):
        self.said.append(text)

    def warn(self, text):
        self.warned.append(text)

    def input(self, name):
        assert name == "config"
        return self

    def json(self, name):
        assert name == "config.json"
        return {"classes": ["ace"]}


@pytest.fixture
def folder(tmp_path):
    """Sealed checkpoints of the steps 10, 20 and 30."""
    made = checkpoints.CheckpointFolder(tmp_path / "checkpoints")
    for step in (10, 20, 30):
        for suffix in ("index", "data-00000-of-00001"):
            (made.path / f"model.ckpt-{step}.{suffix}").write_text(f"{suffix} {step:02d}")
        made.seal(step, {})
    return made


@pytest.fixture
def history():
    """mAP@0.5 was highest at step 20."""
    evaluations = [{"step": step, "map": map50 / 2, "map50": map50, "loss": 1.0} for step, map50 in ((10, 0.5), (20, 0.8), (30, 0.7))]
    return progress.History(30, {"evaluations": evaluations})


def damage(folder, step):
    (folder.path / f"model.ckpt-{step}.index").write_text(f"INDEX {step:02d}")


class TestResumePoint:
    def test_what_cannot_be_used_is_named_and_removed(self, folder, tmp_path):
        damage(folder, 30)
        task = Task(tmp_path, "last")
        assert checkpoints.resume_point(task, folder).step == 20
        assert task.warned == ["the checkpoint of step 30 cannot be used: model.ckpt-30.index has changed since it was written"]
        assert task.said == ["resuming from step 20"]
        assert folder.steps() == [20, 10]

    def test_when_none_can_be_used_training_starts_from_the_beginning_and_says_so(self, folder, tmp_path):
        for step in (10, 20, 30):
            damage(folder, step)
        task = Task(tmp_path, "last")
        assert checkpoints.resume_point(task, folder) is None
        assert task.warned[-1] == "no earlier checkpoint can be used: training starts from the beginning"

    def test_a_first_start_says_nothing(self, tmp_path):
        task = Task(tmp_path, "last")
        assert checkpoints.resume_point(task, checkpoints.CheckpointFolder(tmp_path / "new")) is None
        assert (task.said, task.warned) == ([], [])


class TestExport:
    def export(self, tmp_path, folder, history, which, plan=PLAN):
        task = Task(tmp_path, which)
        (tmp_path / "pipeline.config").write_text("model { }")
        exports.export(task, plan, folder, history, tmp_path / "pipeline.config", {"more": 1})
        return task, json.loads((task.output / "checkpoint.json").read_text())

    @pytest.mark.parametrize(("which", "step"), [("best", 20), ("last", 30)])
    def test_the_checkpoint_asked_for_is_exported_with_its_metrics(self, tmp_path, folder, history, which, step):
        task, said = self.export(tmp_path, folder, history, which)
        assert (said["step"], said["prefix"]) == (step, f"model.ckpt-{step}")
        assert sorted(path.name for path in task.output.glob("model.ckpt*")) == folder.files(step)
        assert task.metrics["map50"] == {20: 0.8, 30: 0.7}[step]

    def test_what_the_stage_has_to_say_besides_is_added(self, tmp_path, folder, history):
        _, said = self.export(tmp_path, folder, history, "last")
        assert (said["schema"], said["classes"], said["more"]) == (1, ["ace"], 1)

    @pytest.mark.parametrize(("delay", "said"), [(5, "the evaluations after quantization began"), (None, "the evaluations")])
    def test_how_the_best_was_chosen_is_said(self, tmp_path, folder, history, delay, said):
        _, about = self.export(tmp_path, folder, history, "best", PLAN._replace(delay=delay))
        assert about["selected_by"] == "highest mAP@0.5 among " + said

    def test_a_damaged_best_one_gives_way_to_the_last_and_says_so(self, tmp_path, folder, history):
        damage(folder, 20)
        task, said = self.export(tmp_path, folder, history, "best")
        assert said["step"] == 30
        assert task.warned == ["the best checkpoint, of step 20, is damaged: the last one is exported"]

    def test_what_differs_from_run_to_run_is_only_in_the_evidence(self, tmp_path, folder, history):
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        first, _ = self.export(tmp_path / "a", folder, history, "best")
        history.resumed_from, history.seconds = [10, 20], 99.0
        second, _ = self.export(tmp_path / "b", folder, history, "best")
        assert (first.output / "checkpoint.json").read_bytes() == (second.output / "checkpoint.json").read_bytes()
        assert (first.output / "history.json").read_bytes() != (second.output / "history.json").read_bytes()


class TestExportFloat:
    """Quantization begins after step 20; `folder` has the checkpoints that a training kept apart."""

    PLAN = PLAN._replace(delay=20)

    def test_it_is_written_beside_the_chosen_one(self, tmp_path, folder):
        task = Task(tmp_path, "last")
        assert program.export_float(task, self.PLAN, folder) == {"step": 20, "prefix": "before_quantization/model.ckpt-20"}
        assert sorted(path.name for path in (task.output / "before_quantization").iterdir()) == folder.files(20)

    def test_a_damaged_one_is_left_out_with_a_word(self, tmp_path, folder):
        damage(folder, 20)
        task = Task(tmp_path, "last")
        assert program.export_float(task, self.PLAN, folder) is None
        assert task.warned == [
            "the checkpoint of step 20, the last before quantization, is lost: what quantization costs cannot be told apart"
        ]

    @pytest.mark.parametrize(("delay", "keep_float"), [(None, True), (0, True), (20, False)])
    def test_there_is_none_without_quantization_or_without_the_wish(self, tmp_path, folder, delay, keep_float):
        task = Task(tmp_path, "last")
        task.params["keep_float"] = keep_float
        assert program.export_float(task, self.PLAN._replace(delay=delay), folder) is None
        assert (list(task.output.iterdir()), task.warned) == ([], [])


@pytest.mark.parametrize(("steps", "deterministic", "worth"), [(199, False, False), (200, False, True), (5000, True, False)])
def test_the_graph_is_rewritten_where_that_pays_and_changes_no_bit(steps, deterministic, worth):
    assert program.worth_optimizing(PLAN._replace(num_steps=steps, deterministic=deterministic)) == worth
