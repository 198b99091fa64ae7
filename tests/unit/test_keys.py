"""A changed byte reruns exactly what depends on it; a time stamp, a move or a comment reruns nothing."""

import os
import shutil

import pytest
from mini import Mini

from edgemill.engines.local import LocalEngine
from edgemill.errors import RequestError
from edgemill.plan import State, make_plan
from edgemill.workspace import Workspace

ALL = {"read", "shout", "act", "page"}  # and `assay`, whose tool is missing


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    project = Mini(tmp_path_factory.mktemp("built") / "project")
    project.build()
    return project.root


@pytest.fixture
def project(built, tmp_path):
    """A built project, moved to another place."""
    fresh = Mini(tmp_path / "first")
    shutil.rmtree(fresh.root)
    shutil.copytree(built, tmp_path / "moved", symlinks=True)
    fresh.root = tmp_path / "moved"
    fresh.stages = fresh.root / "stages"
    fresh.words = fresh.root / "data" / "words.txt"
    fresh.workspace = Workspace(fresh.root / "workspace")
    return fresh


def to_be_made(project, *settings, **options):
    """The steps that a build would run, or may have to once the ones before have run."""
    plan = make_plan(project.pipeline("chain", *settings), project.workspace, LocalEngine(), **options)
    return {name for name, status in plan.items() if status.state in (State.TO_RUN, State.WAITING)}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def append(path, text):
    with path.open("a") as stream:
        stream.write(text)


CHAIN, IMAGES, KINDS = "pipelines/chain.yaml", "docker/images.yaml", "stages/kinds.yaml"
LOCKED = "a==1 --hash=sha256:" + "0" * 64
ACT = "{inputs: {text: shout}}"
# What is changed: the file, the text that is replaced (None: the end of the file) and the new text; and what must run then.
COUNTS = {
    "a byte of the data": ("data/words.txt", "one", "One", ALL),
    "a byte of a program": ("stages/shout/run.py", None, "\n", {"shout", "act", "page"}),
    "a new module of a stage": ("stages/act/more.py", None, "", {"act", "page"}),
    "a byte of a shared folder": ("stages/_words/__init__.py", None, "\n", {"shout", "act", "page"}),
    "a byte of the runtime": ("stages/_runtime/__init__.py", None, "\n", ALL),
    "a lock": ("docker/locks/host.lock", None, LOCKED, ALL),
    "an image's base": (IMAGES, "base: none\n    python", "base: some\n    python", ALL),
    "an image's Dockerfile": ("docker/host.Dockerfile", None, "FROM x\n", ALL),
    "a variable of an image": (IMAGES, "imports:", "env: {A: b}\n    imports:", ALL),
    "a parameter": (CHAIN, ACT, "{inputs: {text: shout}, params: {do: stub}}", {"act", "page"}),
    "what feeds an input": (CHAIN, ACT, "{inputs: {text: read}}", {"act", "page"}),
    "a default": ("stages/shout/stage.yaml", 'default: "!"', 'default: "?"', {"shout", "act", "page"}),
    "what a contract asks for": ("stages/shout/stage.yaml", "timeout: 60", "network: true", {"shout", "act", "page"}),
    "a rule of a kind": (KINDS, "min_bytes: 16", "min_bytes: 17", {"act", "page"}),
    "what of a kind is evidence": (KINDS, "[notes.json]", "[notes.json, log.txt]", {"act", "page"}),
    "the order of a list": (CHAIN, "[read, shout, act]", "[shout, read, act]", {"page"}),
}


@pytest.mark.parametrize(("file", "old", "new", "expected"), COUNTS.values(), ids=COUNTS)
def test_a_change_reruns_what_depends_on_it(project, file, old, new, expected):
    if old is None:
        append(project.root / file, new)
    else:
        edit(project.root / file, old, new)
    assert to_be_made(project) == expected


def test_a_step_by_another_name_is_the_same_but_to_who_tells_its_inputs_by_name(project):
    for old, new in (("  shout: {", "  loud: {stage: shout, "), ("[read, shout,", "[read, loud,"), ("text: shout}", "text: loud}")):
        edit(project.root / CHAIN, old, new)
    assert to_be_made(project) == {"page"}


def touch_everything(project):
    for path in project.root.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)


def move_workspace(project):
    project.workspace = Workspace((project.root / "workspace").rename(project.root / "elsewhere"))


def rename_words(project):
    project.words.rename(project.words.with_name("other.txt"))
    edit(project.root / "pipelines/chain.yaml", "words.txt", "other.txt")


NOTHING = {
    "a move of everything": lambda p: None,
    "time stamps": touch_everything,
    "a move of the workspace": move_workspace,
    "the name of the data": rename_words,
    "a comment in the pipeline": lambda p: append(p.root / "pipelines/chain.yaml", "# a comment\n"),
    "the pipeline's help": lambda p: edit(p.root / "pipelines/chain.yaml", "help: Every", "help: All"),
    "the pipeline's name": lambda p: shutil.copy(p.root / "pipelines/chain.yaml", p.root / "pipelines/other.yaml"),
    "a default that is given": lambda p: edit(
        p.root / "pipelines/chain.yaml", "{text: read}", "{text: read}, params: {times: 1.0, loudness: 1}"
    ),
    "a comment in a contract": lambda p: append(p.stages / "shout/stage.yaml", "# a comment\n"),
    "a contract's help": lambda p: edit(p.stages / "shout/stage.yaml", "in capitals", "in large letters"),
    "an input's help": lambda p: edit(p.stages / "shout/stage.yaml", "What to shout.", "What is shouted."),
    "a limit": lambda p: edit(p.stages / "shout/stage.yaml", "timeout: 60", "timeout: 61"),
    "another stage's program": lambda p: append(p.stages / "learn/run.py", "\n"),
    "byte code": lambda p: ((p.stages / "shout/__pycache__").mkdir(), append(p.stages / "shout/__pycache__/run.pyc", "x")),
    "a comment among the kinds": lambda p: append(p.stages / "kinds.yaml", "# a comment\n"),
    "a kind's help": lambda p: edit(p.stages / "kinds.yaml", "Words, and", "Words and"),
    "a comment in a lock": lambda p: append(p.root / "docker/locks/host.lock", "# a comment\n"),
    "an image's help": lambda p: edit(p.root / "docker/images.yaml", "and nothing in it", "and no more"),
    "another image's lock": lambda p: append(p.root / "docker/locks/tooled.lock", "a==1 --hash=sha256:" + "0" * 64),
}


@pytest.mark.parametrize("change", NOTHING.values(), ids=NOTHING)
def test_what_makes_no_difference_reruns_nothing(project, change):
    change(project)
    assert to_be_made(project) == set()
    assert to_be_made(project, verify=True) == set()


def test_the_same_result_from_changed_code_reruns_nothing_after_it(project):
    append(project.stages / "shout" / "run.py", "# a comment\n")
    assert project.ran() == ["shout"]


def test_evidence_that_differs_reruns_nothing(project):
    """`act` notes the time, which its kind calls evidence."""
    append(project.stages / "act" / "run.py", "# a comment\n")
    assert project.ran() == ["act"]


def test_another_result_reruns_what_comes_after_it(project):
    edit(project.stages / "_words" / "__init__.py", "text.upper()", "text.title()")
    assert project.ran() == ["act", "page", "shout"]


def test_going_back_finds_what_was_made_before(project):
    assert project.ran("chain", "shout.times=2") == ["act", "page", "shout"]
    assert project.ran() == []
    assert project.ran("chain", "shout.times=2") == []


LISTING = """from pathlib import Path
from _runtime import run
def main(task):
    (task.output / "text.txt").write_text("".join(Path(path).read_text() for path in task.params["paths"]))
run(main)
"""
CONTRACT = """schema: 1
help: Several files.
image: host
output: {kind: text}
params: {paths: {type: array, items: {type: string, format: path}, description: Where they are.}}
"""


@pytest.fixture
def listing(mini):
    """listing(path, …) builds a stage whose parameter is a list of paths, and returns its key and what it read."""
    (mini.stages / "listing").mkdir()
    (mini.stages / "listing" / "stage.yaml").write_text(CONTRACT)
    (mini.stages / "listing" / "run.py").write_text(LISTING)
    for name in ("one", "two"):
        (mini.root / "data" / name).write_text(name)

    def call(*paths):
        mini.write_pipeline(f"schema: 1\nstages: {{listing: {{params: {{paths: [{', '.join(paths)}]}}}}}}\n")
        status = mini.build("own")["listing"]
        return status.key, (status.artifact.path / "text.txt").read_text(), status.artifact.manifest["params"]

    call.project = mini
    return call


def test_each_path_of_a_list_counts_with_its_contents_and_its_place(listing):
    key, text, params = listing("../data/one", "../data/two")
    assert text == "onetwo"
    assert [set(each) for each in params["paths"]] == [{"sha256"}, {"sha256"}]
    shutil.copy(listing.project.root / "data" / "one", listing.project.root / "data" / "three")
    assert listing("../data/three", "../data/two")[:2] == (key, text)
    other = listing("../data/two", "../data/one")
    assert (other[0] == key, other[1]) == (False, "twoone")
    (listing.project.root / "data" / "one").write_text("1")
    changed = listing("../data/one", "../data/two")
    assert (changed[0] == key, changed[1]) == (False, "1two")


def test_a_path_of_a_list_that_is_not_there_is_a_wrong_request(listing):
    with pytest.raises(RequestError, match="no such file or folder") as caught:
        listing("../data/one", "../data/four")
    assert caught.value.found.endswith("data/four")
