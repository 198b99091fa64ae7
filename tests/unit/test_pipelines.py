"""Pipelines: everything that is wrong is named, with file and line, before anything runs."""

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemill.errors import RequestError
from edgemill.pipelines import find_pipeline, load_pipeline, pipeline_names

GOOD = """\
schema: 1
stages:
  read:
    params:
      path: ../data/words.txt
  shout:
    inputs:
      text: read
    params:
      times: 2
"""


def refusal(mini, text, *settings):
    """The error that a pipeline ends in, as the user sees it."""
    path = mini.write_pipeline(text)
    with pytest.raises(RequestError) as raised:
        load_pipeline(path, settings, mini.stages, images(mini))
    return raised.value


def images(mini):
    return {step.image.name: step.image for step in mini.pipeline().steps.values()}


WRONG = {
    "an unknown key": ("schema: 1\nstgaes: {}\n", 2, "unknown key 'stgaes'", "did you mean 'stages'?"),
    "another schema": ("schema: 2\nstages: {read: }\n", 1, "schema", "1"),
    "no stages": ("schema: 1\nstages: {}\n", 2, "stages", "minProperties"),
    "a list of stages": ("schema: 1\nstages: [read]\n", 2, "wrong type", "object"),
    "a name in capitals": ("schema: 1\nstages:\n  Read: {stage: read}\n", 2, "not of the accepted form", "Read"),
    "an unknown key of a stage": (
        GOOD.replace("    params:\n      times", "    parms:\n      times"),
        9,
        "unknown key 'parms'",
        "'params'",
    ),
    "an unknown stage": (GOOD.replace("  shout:", "  shuot:"), 6, "unknown stage 'shuot'", "did you mean 'shout'?"),
    "an unknown stage by its key": (GOOD + "  more:\n    stage: raed\n", 12, "unknown stage 'raed'", "did you mean 'read'?"),
    "a stage outside the folder": (GOOD + "  more:\n    stage: ../stages/read\n", 12, "unknown stage", "read"),
    "an unknown parameter": (GOOD.replace("times: 2", "tmies: 2"), 10, "unknown key 'tmies'", "did you mean 'times'?"),
    "a parameter of a wrong type": (GOOD.replace("times: 2", "times: two"), 10, "times: wrong type", "found:    'two' (str)"),
    "a number where text is meant": (GOOD.replace("times: 2", "mark: 1"), 10, "mark: wrong type", "string"),
    "a fraction of a time": (GOOD.replace("times: 2", "times: 1.5"), 10, "times: wrong type", "integer"),
    "a value beyond its bounds": (GOOD.replace("times: 2", "times: 10"), 10, "times: not acceptable", "maximum 9"),
    "a value that is not offered": (GOOD.replace("times: 2", "mark: '#'"), 10, "not one of the accepted values", "!, ?"),
    "a wrong type inside a parameter": (GOOD.replace("times: 2", "names: {one: 1}"), 10, "one: wrong type", "string"),
    "no file at a path": (GOOD.replace("words.txt", "wrods.txt"), 5, "no such file or folder", "--set read.path=PATH"),
    "a path in the home of nobody": (GOOD.replace("../data/words.txt", "~nobody-of-that-name/x"), 5, "no such file", "~nobody"),
    "an empty path": (GOOD.replace("../data/words.txt", "''"), 5, "no such file or folder", "an empty path"),
    "a path with a zero byte": (GOOD.replace("../data/words.txt", '"a\\0b"'), 5, "no such file or folder", "--set read.path"),
    "an unknown input": (GOOD.replace("      text: read", "      txet: read"), 8, "unknown input of shout 'txet'", "'text'"),
    "an input from nowhere": (GOOD.replace("text: read", "text: raed"), 8, "unknown stage of this pipeline 'raed'", "'read'"),
    "no input": (GOOD.replace("      text: read", "      {}"), 7, "lacks its input 'text'", "`inputs: {text: read}`"),
    "no input and none to be had": ("schema: 1\nstages: {shout: }\n", 2, "lacks its input 'text'", "add a stage that makes text"),
    "several for a single input": (GOOD.replace("text: read", "text: [read, read]"), 8, "takes one artifact", "read, read"),
    "none for a single input": (GOOD.replace("text: read", "text: []"), 8, "takes one artifact", "none"),
    "none for a list": (GOOD + "  join:\n    inputs:\n      parts: []\n", 12, "lacks its input 'parts'", "kind any"),
    "one twice in a list": (GOOD + "  join:\n    inputs:\n      parts: [read, read]\n", 13, "each artifact once", "read, read"),
    "kinds that do not fit": (
        GOOD + "  act: {}\n  more:\n    stage: shout\n    inputs:\n      text: act\n",
        15,
        "'act' does not fit the input 'text' of 'more'",
        "act makes model",
    ),
    "a cycle": (
        GOOD.replace("text: read", "text: more") + "  more:\n    stage: shout\n    inputs:\n      text: shout\n",
        None,
        "feed each other in a circle",
        "shout -> more",
    ),
    "a stage that feeds itself": (GOOD.replace("text: read", "text: shout"), 6, "feed each other in a circle", "shout -> shout"),
    "something optional feeding what must be": (
        GOOD.replace("  read:\n", "  read:\n    optional: true\n"),
        9,
        "'read' is optional, but the input 'text' of 'shout' must be there",
        "make 'shout' optional too",
    ),
    "nothing but optional ones feeding what must be": (
        GOOD.replace("  shout:\n", "  shout:\n    optional: true\n") + "  join:\n    inputs:\n      parts: [shout]\n",
        14,
        "'shout' is optional, but the input 'parts' of 'join' must be there",
        "make 'join' optional too",
    ),
}


@pytest.mark.parametrize(("text", "line", "says", "helps"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_a_pipeline_is_named(mini, text, line, says, helps):
    error = refusal(mini, text)
    assert says in str(error)
    assert helps in str(error)
    assert "own.yaml:" in error.where
    if line is not None:
        assert f"own.yaml:{line}" in error.where + " "
    assert error.exit_code == 2


SETTINGS = {
    "no value": ("shout.times", "not of the accepted form", "STAGE.PARAM=VALUE"),
    "no parameter": ("shout=2", "not of the accepted form", "shout=2"),
    "nothing before the dot": (".times=2", "not of the accepted form", "STAGE.PARAM=VALUE"),
    "nothing after the dot": ("shout.=2", "not of the accepted form", "STAGE.PARAM=VALUE"),
    "an unknown stage": ("shuot.times=2", "unknown stage of this pipeline 'shuot'", "did you mean 'shout'?"),
    "an unknown parameter": ("shout.tmies=2", "unknown parameter of shout 'tmies'", "did you mean 'times'?"),
    "a wrong type": ("shout.times=two", "times: wrong type", "'two' (str)"),
    "no value at all": ("shout.times=", "times: wrong type", "None"),
    "a value beyond its bounds": ("shout.times=10", "not acceptable", "maximum 9"),
    "not YAML": ("shout.times=[1", "not valid YAML", "--set"),
    "bytes that are no text": ("shout.mark=\udce9", "not valid YAML", "--set"),
    "a part of what has none": ("shout.times.x=1", "the parameter 'times' has no parts", "--set shout.times="),
    "a wrong type in a part": ("shout.names.one=1", "names.one", "string"),
    "no such path": ("read.path=nowhere", "no such file or folder", "--set read.path"),
}


@pytest.mark.parametrize(("setting", "says", "helps"), SETTINGS.values(), ids=SETTINGS)
def test_what_is_wrong_in_a_setting_is_named(mini, setting, says, helps):
    error = refusal(mini, GOOD, setting)
    assert says in str(error)
    assert helps in str(error)
    assert "--set" in error.where


def params(mini, text, *settings, step="shout"):
    return load_pipeline(mini.write_pipeline(text), settings, mini.stages, images(mini)).steps[step].params


def test_parameters_are_complete(mini):
    assert params(mini, GOOD) == {"times": 2, "mark": "!", "loudness": 1.0, "names": {}}


@pytest.mark.parametrize(
    ("setting", "param", "value"),
    [
        ("shout.times=3", "times", 3),
        ("shout.times=3.0", "times", 3),
        ("shout.loudness=2", "loudness", 2.0),
        ("shout.mark='?'", "mark", "?"),
        ("shout.names={one: eins}", "names", {"one": "eins"}),
        ("shout.names.one=eins", "names", {"one": "eins"}),
        ("shout.names.a.b.c=x", "names", {"a.b.c": "x"}),
        ("shout.names.equals=a=b", "names", {"equals": "a=b"}),
    ],
)
def test_a_setting_stands_in_place_of_what_the_pipeline_says(mini, setting, param, value):
    found = params(mini, GOOD, setting)[param]
    assert found == value
    assert type(found) is type(value)


def test_a_dotted_setting_leaves_the_rest_as_it_is(mini):
    text = GOOD.replace("times: 2", "names: {one: eins, two: zwei}")
    assert params(mini, text, "shout.names.two=deux", "shout.names.three=trois")["names"] == {
        "one": "eins",
        "two": "deux",
        "three": "trois",
    }


def test_a_dotted_setting_adds_to_the_default(mini):
    path = mini.stages / "shout" / "stage.yaml"
    path.write_text(path.read_text().replace("names: {type: object, default: {}", "names: {type: object, default: {one: eins}"))
    assert params(mini, GOOD, "shout.names.two=zwei")["names"] == {"one": "eins", "two": "zwei"}


def test_paths_are_relative_to_the_pipelines_file_and_in_settings_to_the_current_folder(mini, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.txt").write_text("other")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert params(mini, GOOD, step="read")["path"] == str(mini.words)
    assert params(mini, GOOD, "read.path=other.txt", step="read")["path"] == str(tmp_path / "other.txt")
    assert params(mini, GOOD, "read.path=~/other.txt", step="read")["path"] == str(tmp_path / "other.txt")
    assert params(mini, GOOD.replace("../data/words.txt", str(tmp_path / "other.txt")), step="read")["path"] == str(tmp_path / "other.txt")


def test_steps_come_after_what_feeds_them(mini):
    lines = GOOD.splitlines(keepends=True)
    turned = "".join([*lines[:2], *lines[5:], *lines[2:5]])
    assert list(load_pipeline(mini.write_pipeline(turned), (), mini.stages, images(mini)).steps) == ["read", "shout"]


@pytest.mark.parametrize(
    ("targets", "steps"),
    [
        ([], ["read", "shout", "act", "assay", "page"]),
        (["read"], ["read"]),
        (["shout"], ["read", "shout"]),
        (["join"], ["read", "shout", "act", "assay", "page"]),
        (["act", "shout"], ["read", "shout", "act"]),
        (["text"], ["read", "shout"]),
    ],
)
def test_a_part_holds_what_its_targets_need_and_no_more(mini, targets, steps):
    assert sorted(mini.pipeline().select(targets).steps) == sorted(steps)


def test_an_unknown_target_is_refused(mini):
    with pytest.raises(RequestError, match="unknown stage of this pipeline 'trian'"):
        mini.pipeline().select(["trian"])


def test_an_unknown_image_or_kind_is_refused(mini):
    known = images(mini)
    with pytest.raises(RequestError, match="unknown image 'tooled'"):
        load_pipeline(mini.root / "pipelines" / "chain.yaml", (), mini.stages, {"host": known["host"]})
    path = mini.stages / "read" / "stage.yaml"
    path.write_text(path.read_text().replace("kind: text", "kind: txet"))
    with pytest.raises(RequestError, match="unknown kind 'txet'") as raised:
        load_pipeline(mini.root / "pipelines" / "chain.yaml", (), mini.stages, known)
    assert raised.value.remedy == "did you mean 'text'?"


def test_a_step_may_run_in_a_variant_of_its_stages_image_and_in_no_other(mini):
    variants = {"host": images(mini)["host"], "tooled": replace(images(mini)["tooled"], extends="host", gpus=True)}
    path = mini.root / "pipelines" / "chain.yaml"
    path.write_text("schema: 1\nstages:\n  read: {params: {path: ../data/words.txt}}\n  shout: {image: tooled, inputs: {text: read}}\n")
    steps = load_pipeline(path, (), mini.stages, variants).steps
    assert (steps["read"].image.name, steps["shout"].image.name) == ("host", "tooled")
    with pytest.raises(RequestError, match="unknown image for the stage shout 'tooled'") as raised:
        load_pipeline(path, (), mini.stages, {**variants, "tooled": replace(variants["tooled"], gpus=False)})
    assert "chain.yaml:4 " in raised.value.where


@pytest.mark.parametrize(("kinds", "says"), [("[page, text]", None), ("[page, dataset]", "an artifact of kind page or dataset")])
def test_an_input_may_take_one_of_several_kinds(mini, kinds, says):
    path = mini.stages / "shout" / "stage.yaml"
    path.write_text(path.read_text().replace("kind: text", f"kind: {kinds}", 1))
    if says is None:
        assert mini.pipeline().steps["shout"].inputs == {"text": ("read",)}
        return
    with pytest.raises(RequestError, match="does not fit") as raised:
        mini.pipeline()
    assert raised.value.expected == says


def test_a_pipeline_is_found_by_its_name_or_its_path(mini, monkeypatch):
    folder = mini.root / "pipelines"
    assert find_pipeline("chain", folder) == folder / "chain.yaml"
    monkeypatch.chdir(folder)
    assert find_pipeline("./chain.yaml", folder) == folder / "chain.yaml"
    assert find_pipeline("chain.yaml", folder) == folder / "chain.yaml"
    with pytest.raises(RequestError) as raised:
        find_pipeline("chian", folder)
    assert raised.value.remedy == "did you mean 'chain'?"
    with pytest.raises(RequestError, match="no such file"):
        load_pipeline(find_pipeline("nowhere/x.yaml", folder))
    with pytest.raises(RequestError, match="cannot be read"):
        load_pipeline(find_pipeline(str(folder) + os.sep, folder))


@pytest.mark.parametrize("name", pipeline_names())
def test_the_projects_own_pipelines_name_only_what_exists(name):
    """A path to data that this machine lacks is the one thing that may be missing."""
    wrong = None
    try:
        load_pipeline(find_pipeline(name))
    except RequestError as error:
        wrong = error.what
    assert wrong in (None, "no such file or folder")


WORDS = st.sampled_from(["schema", "stages", "read", "shout", "params", "inputs", "text", "path", "times", "stage", "optional", "x", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(value=VALUES, setting=st.text(max_size=12) | st.builds("{}.{}={}".format, WORDS, WORDS, st.text(max_size=8)))
def test_any_pipeline_is_read_or_refused(shared_mini, value, setting):
    import json

    path = shared_mini.write_pipeline(json.dumps({"schema": 1, "stages": value}), "fuzzed")
    for settings in ((), (setting,)):
        try:
            load_pipeline(path, settings, shared_mini.stages, images(shared_mini))
        except RequestError:
            continue


@pytest.fixture(scope="module")
def shared_mini(tmp_path_factory):
    from mini import Mini

    return Mini(tmp_path_factory.mktemp("shared") / "project")
