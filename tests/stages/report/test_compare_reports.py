"""Two runs on one page: what each came to, what differs, and what could not be compared."""

import itertools
import json

import pytest
from page_text import chart, chart_rows, description, heads, rows, words
from pair_files import RECORDS, recorded
from run_files import STAGES, digest, odapi_evaluation, read, write

from stage_helpers import artifact


def test_the_top_tells_both_verdicts_and_the_most_telling_change(compare):
    made = compare()
    assert words(made.all("//h1")[0]) == "cards and longer"
    assert [words(each) for each in made.all("//*[contains(@class,'verdict')]")] == ["Passed The gate passed."] * 2
    assert [words(each) for each in made.all("//ul[@class='cards']/li")] == ["mAP@0.5 on val 0.800 → 0.700 −0.100"]
    assert "20260102-000000-bbbb" in words(made.all("//header")[0])


def test_the_page_can_be_read_without_seeing_it_and_reaches_for_nothing(compare):
    made = compare()
    levels = [int(heading.tag[1]) for heading in made.all("//h1|//h2|//h3|//h4")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all(each.xpath("./caption") for each in made.all("//table"))
    ids = made.all("//@id")
    assert len(ids) == len(set(ids))
    assert all(made.all("//*[@id=$id]", id=target[1:]) for target in made.all("//@href") if target.startswith("#"))
    assert all(address.startswith(("#", "data:image/jpeg;base64,")) for address in made.all("//@src|//@href"))


def test_ledgers_stand_side_by_side(compare):
    section = compare().part("accuracy")
    assert rows(section, "mAP of each model of the chain")[0] == [
        "infer-float (checkpoint in float)", "0.920", "0.820", "−0.100", "0.607", "0.541", "−0.066",
    ]  # fmt: skip
    assert rows(section, "What each step of the chain changes") == [
        ["infer-float", "–", "–"],
        ["infer-frozen", "−0.070", "−0.070"],
        ["infer-tflite", "−0.050", "−0.050"],
    ]
    assert description(chart(section, "mAP@0.5 at each step of the chain")).startswith(
        "In each row cards, longer. infer-float: 0.920, 0.820;"
    )


def test_a_model_that_one_chain_lacks_has_a_dash(compare):
    def change(_, second):
        path = second / "evaluate" / "metrics.json"
        metrics = read(path)
        metrics["order"].remove("infer-float")
        metrics["ledger"] = metrics["ledger"][1:]
        write(path, metrics)

    assert rows(compare(change).part("accuracy"), "mAP of each model of the chain")[0][1:4] == ["0.920", "–", "–"]


def test_measures_and_errors_are_those_of_the_models_that_go_to_the_device(compare):
    section = compare().part("accuracy")
    assert ["mAP@0.5", "0.800", "0.700", "−0.100"] in rows(section, "Measures of the last models")
    errors = {row[0]: row[1:] for row in rows(section, "Boxes of each kind")}
    assert set(errors) == {
        "right",
        "wrong class",
        "badly placed",
        "wrong class and place",
        "found twice",
        "nothing is there",
        "missed",
    }
    assert all(int(one) + int(by.replace("−", "-").replace("±", "")) == int(other) for one, other, by in errors.values())
    assert [len(rows(section, f"Gates of {name}")) for name in ("cards", "longer")] == [1, 1]


def test_classes_are_told_with_the_largest_change_first(compare):
    def change(_, second):
        path = second / "evaluate" / "metrics.json"
        metrics = read(path)
        for model in metrics["models"].values():
            model["per_class"][1]["ap50"] = 0.1
        write(path, metrics)

    section = compare(change).part("accuracy")
    assert [[row[0], *row[2:5]] for row in rows(section, "AP of each class")] == [
        ["square", "0.770", "0.100", "−0.670"],
        ["circle", "0.800", "0.700", "−0.100"],
    ]
    assert [words(each) for each in section.xpath(".//div[contains(@class,'small')]//figcaption")] == ["square", "circle"]


def test_curves_lie_over_each_other(compare):
    made = compare()
    assert heads(made.part("accuracy"), "All classes") == ["recall", "cards", "longer"]
    assert chart_rows(chart(made.part("accuracy"), "All classes"))[0] == ["0", "1", "1"]
    titles = [words(each) for each in made.part("training").xpath(".//figcaption")]
    assert titles == ["Training loss", "Validation loss", "mAP@0.5 during training"]
    assert "cards: 0.21 at 200, 0.94 at 700. longer: 0.21 at 200" in description(chart(made.part("training"), "mAP@0.5 during training"))


def test_stages_tell_what_differs(compare):
    section = compare(params={side: {**RECORDS[side], "stages": recorded()} for side in ("first",)}).part("stages")
    told = {row[0].split(" (")[0]: row[1:] for row in rows(section, "Each stage of both runs")}
    assert list(told)[: len(STAGES) - 2] == [
        "ingest",
        "records",
        "configure",
        "train",
        "freeze",
        "convert",
        "infer-float",
        "infer-frozen",
        "infer-tflite",
        "evaluate",
    ]
    assert told["ingest"][0] == "= the same"
    assert told["train"][0] == "parameters"
    assert told["freeze"][0] == "inputs"
    assert told["compile"][0] == "only in the first run"
    assert told["ingest"][3] == told["ingest"][4] == digest("key ingest")[:12]
    assert told["train"][3] != told["train"][4]


def test_parameters_that_differ_are_told_by_name(compare):
    told = rows(compare().part("stages"), "Parameters that differ")
    assert told == [["train", "evaluate_every", "–", "400"], ["train", "augment.flip", "–", "true"]]


def test_without_a_parameter_that_differs_the_page_says_so(compare):
    section = compare(inputs=lambda given: {"first": given["first"], "second": given["first"]}).part("stages")
    assert "No parameter differs." in words(section)
    assert {row[1] for row in rows(section, "Each stage of both runs")} == {"= the same"}


def test_a_stage_that_did_not_end_well_is_told_with_its_state(compare):
    stages = {**recorded(), "compile": {"state": "unavailable", "key": None, "digest": None, "optional": True}}
    made = compare(params={"first": {**RECORDS["first"], "stages": stages}})
    told = {row[0]: row[1] for row in rows(made.part("stages"), "Each stage of both runs")}
    assert told["compile"] == "– cards: unavailable"


def test_the_same_bytes_by_another_program_are_told(compare):
    def given(entries):
        return {"first": entries["first"], "second": entries["first"]}

    stages = {"records": {"state": "ran", "key": digest("another key"), "digest": digest("records"), "source": "b" * 64}}
    made = compare(inputs=given, params={"second": {**RECORDS["second"], "stages": stages}})
    told = {row[0]: row[1] for row in rows(made.part("stages"), "Each stage of both runs")}
    assert told["records"] == "another key = the same bytes"


def test_a_run_that_failed_has_that_verdict(compare):
    stages = {**recorded(), "package": {"state": "failed", "optional": False}}
    made = compare(params={"second": {**RECORDS["second"], "state": "failed", "stages": stages}})
    assert [words(each) for each in made.all("//*[contains(@class,'verdict')]/strong")] == ["Passed", "Failed"]


def test_latency_is_told_of_the_models_that_both_have(compare):
    assert rows(compare().part("latency"), "Median time")[-1] == ["infer-tflite", "12.3 ms", "12.3 ms"]


def test_other_protocols_are_compared(compare, tmp_path):
    odapi_evaluation(tmp_path / "odapi")
    added = {
        side: {**artifact("evaluate-odapi", "evaluation", tmp_path / "odapi"), "name": f"{side}.evaluate-odapi"}
        for side in ("first", "second")
    }
    made = compare(inputs=lambda given: {side: [*entries, added[side]] for side, entries in given.items()})
    assert rows(made.part("protocols"), "PASCAL VOC, IoU 0.5")[0] == ["mAP", "0.790", "0.790", "±0.000"]


# Pictures.


def verdicts(line):
    return {
        name: not model["missed"] and all(box["kind"] in ("correct", "ignored") for box in model["found"])
        for name, model in line["models"].items()
    }


def lines_of(root, side):
    return [json.loads(line) for line in (root / side / "evaluate" / "matches.jsonl").read_text(encoding="utf-8").splitlines()]


def test_pictures_are_those_that_one_run_alone_gets_right(compare, tmp_path):
    made = compare(count=60)
    right = [{each["id"]: verdicts(each)["infer-tflite"] for each in lines_of(tmp_path / "pair0", side)} for side in ("first", "second")]
    figures = made.part("pictures").xpath(".//figure")
    assert len(figures) == 20
    for figure in figures:
        number = int(words(figure.xpath("./figcaption")[0]).split(".")[0].removeprefix("img"))
        assert [right[0][number], right[1][number]] == [figure.get("data-groups") == "first", figure.get("data-groups") == "second"]
        assert [words(each) for each in figure.xpath(".//b")] == ["Ground truth", "cards", "longer"]
    assert {figure.get("data-groups") for figure in figures} == {"first", "second"}


def test_without_a_picture_that_only_one_gets_right_there_is_no_gallery(compare):
    def change(first, second):
        (second / "evaluate" / "matches.jsonl").write_bytes((first / "evaluate" / "matches.jsonl").read_bytes())

    assert compare(change).part("pictures") is None


@pytest.mark.parametrize("count", [0, 1, 7])
def test_as_many_pictures_as_asked_for(compare, count):
    section = compare(count=60, params={"pictures": count}).part("pictures")
    assert (0 if section is None else len(section.xpath(".//figure"))) == count


# What could not be compared.


def of_lines(change_line):
    """A change of the second dataset's val.jsonl, line by line; None leaves one out."""

    def change(_, second):
        path = second / "ingest" / "val.jsonl"
        lines = [change_line(number, json.loads(line)) for number, line in enumerate(path.read_text(encoding="utf-8").splitlines())]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines if line), encoding="utf-8")

    return change


def of_metrics(**fields):
    def change(_, second):
        path = second / "evaluate" / "metrics.json"
        write(path, {**read(path), **fields})

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (None, "Nothing: both runs have the same evaluations, of the same pictures with the same annotations."),
        (
            of_lines(lambda number, line: line if number else None),
            "1 picture of the split val is in cards alone: the numbers are not of the same pictures.",
        ),
        (
            of_lines(lambda number, line: {**line, "sha256": "0" * 64} if number == 1 else line),
            "1 picture of the split val is in longer alone: the numbers are not of the same pictures.",
        ),
        (
            of_lines(lambda number, line: {**line, "objects": []} if number < 2 else line),
            "2 pictures of the split val have other annotations in longer than in cards.",
        ),
        (of_metrics(split="test"), "The evaluation evaluate of longer, on the split test, has no counterpart in cards."),
        (of_metrics(schema=1), "The evaluation evaluate of longer could not be read: its metrics.json has schema 1"),
        (lambda _, second: (second / "evaluate" / "matches.jsonl").unlink(), "no pictures are compared"),
    ],
)
def test_what_could_not_be_compared_is_said(compare, change, says):
    assert says in compare(change).told("unchecked")


@pytest.mark.parametrize(
    ("left_out", "parts", "says"),
    [
        (["evaluate"], {"training", "latency", "stages"}, "longer has no evaluation: no accuracy was measured."),
        (["ingest"], {"accuracy", "training", "latency", "stages"}, "Whether the split val has the same pictures in both is not known"),
        (["train"], {"accuracy", "pictures", "training", "latency", "stages"}, "Nothing:"),
        (["infer-float", "infer-frozen", "infer-tflite"], {"accuracy", "pictures", "training", "stages"}, "Nothing:"),
    ],
)
def test_what_one_run_lacks_leaves_only_its_part_out(compare, left_out, parts, says):
    def without(given):
        return {**given, "second": [each for each in given["second"] if each["name"].partition(".")[2] not in left_out]}

    made = compare(inputs=without, count=30)
    assert set(made.parts()) == parts | {"unchecked"}
    assert says in made.told("unchecked")


def test_two_runs_of_nothing_make_a_page(compare):
    made = compare(inputs=lambda _: {"first": [], "second": []}, params={"first": {}, "second": {}})
    assert words(made.all("//h1")[0]) == "first and second"
    assert made.parts() == ["unchecked"]


def test_runs_of_the_same_name_are_told_apart(compare):
    made = compare(params={"second": {**RECORDS["second"], "name": "cards"}})
    assert words(made.all("//h1")[0]) == "cards (first) and cards (second)"


def test_curves_at_other_recalls_are_not_laid_over_each_other(compare):
    def change(_, second):
        path = second / "evaluate" / "curves.json"
        write(path, {**read(path), "recall": [0.0, 1.0]})

    assert not compare(change).part("accuracy").xpath(".//h4[.='Precision and recall']")


HOSTILE = ["<script>alert(1)</script>", "a\" onload='x' & <b>", "n" * 300]


def test_names_from_the_data_and_of_the_runs_are_text_and_never_markup(compare):
    made = compare(
        classes=HOSTILE,
        count=30,
        params={"first": {**RECORDS["first"], "name": "<h1>one</h1>"}, "second": {**RECORDS["second"], "name": "'\"><i>"}},
    )
    assert len(made.all("//h1")) == 1
    assert words(made.all("//h1")[0]) == "<h1>one</h1> and '\"><i>"
    assert not made.all("//i|//main//script|//@onload")
    assert {row[0] for row in rows(made.part("accuracy"), "AP of each class")} == set(HOSTILE)


def test_the_same_runs_give_the_same_page(compare):
    assert compare().text == compare().text
