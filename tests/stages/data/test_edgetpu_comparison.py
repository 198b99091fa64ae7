"""Predicted against told: what is a contradiction, what was left open, and what cannot be compared."""

import pytest
from _edgetpu.comparison import compare
from _edgetpu.compiler_log import parse_log
from _edgetpu.words import BAD_TYPE as TYPE
from _edgetpu.words import LIMITATION as LIMITED
from _edgetpu.words import MAPPED, SECOND
from hypothesis import given
from hypothesis import strategies as some

CUSTOM = "TFLite_Detection_PostProcess"


def operator(op, verdict, status=None):
    return {"op": op, "verdict": verdict, "status": status}


def prediction(*operators, refused=None):
    counts = {verdict: sum(each["verdict"] == verdict for each in operators) for verdict in ("mapped", "cpu", "unknown")}
    return {"refused": refused, "operators": list(operators), "counts": counts}


def log(*rows, verdict="Model compiled successfully in 5 ms.", output="m_edgetpu.tflite"):
    table = "Operator Count Status\n" + "".join("%-30s %-10d %s\n" % row for row in rows) if rows else ""
    return parse_log(
        "Edge TPU Compiler version 16.0.384591198\n%s\nInput model: m.tflite\nOutput model: out/%s\n%s" % (verdict, output, table)
    )


MAP, CPU, OPEN = operator("ADD", "mapped", MAPPED), operator("ADD", "cpu"), operator("ADD", "unknown")
AFTER = operator("ADD", "cpu", SECOND)


@pytest.mark.parametrize(
    ("operators", "rows"),
    [
        ([MAP, MAP], [("ADD", 2, MAPPED)]),
        ([MAP, CPU], [("ADD", 1, MAPPED), ("ADD", 1, TYPE)]),
        ([MAP, AFTER], [("ADD", 1, SECOND), ("ADD", 1, MAPPED)]),
        ([CPU, AFTER], [("ADD", 1, SECOND), ("ADD", 1, "a status of next year")]),
        ([operator(CUSTOM, "cpu", TYPE), operator("OTHER_CUSTOM", "cpu", TYPE)], [("CUSTOM", 2, TYPE)]),
        ([MAP, operator("RESHAPE", "cpu", TYPE)], [("RESHAPE", 1, TYPE), ("ADD", 1, MAPPED)]),
    ],
)
def test_what_came_true_is_no_difference(operators, rows):
    assert compare(prediction(*operators), log(*rows)) == []


@pytest.mark.parametrize(
    ("operators", "rows", "found"),
    [
        ([MAP, MAP], [("ADD", 1, MAPPED), ("ADD", 1, TYPE)], [(MAPPED, 2, 1), (TYPE, 0, 1)]),
        ([CPU, MAP], [("ADD", 2, MAPPED)], [(MAPPED, 1, 2)]),
        ([AFTER], [("ADD", 1, TYPE)], [(SECOND, 1, 0), (TYPE, 0, 1)]),
        ([OPEN, MAP, MAP], [("ADD", 1, MAPPED), ("ADD", 2, TYPE)], [(MAPPED, 2, 1), (TYPE, 0, 2)]),
        ([OPEN, AFTER, AFTER], [("ADD", 3, MAPPED)], [(MAPPED, 0, 3), (SECOND, 2, 0)]),
        ([CPU, OPEN, OPEN], [("ADD", 3, MAPPED)], [(MAPPED, 0, 3)]),
        ([MAP, MAP], [("ADD", 1, MAPPED)], [(MAPPED, 2, 1)]),
        ([CPU, CPU], [("ADD", 1, TYPE)], [(None, 2, 1)]),
        ([MAP], [("SUB", 1, MAPPED)], [(MAPPED, 1, 0), (MAPPED, 0, 1)]),
    ],
)
def test_what_cannot_be_is_told_with_both_counts(operators, rows, found):
    told = compare(prediction(*operators), log(*rows))
    assert [(each["status"], each["predicted"], each["told"]) for each in told] == found
    assert all(each["kind"] == "different" and each["op"] in each["text"] for each in told)
    assert all(str(each[count]) in each["text"] for each in told for count in ("predicted", "told"))


@pytest.mark.parametrize(
    ("operators", "rows", "words"),
    [
        ([OPEN], [("ADD", 1, MAPPED)], "1 Mapped to Edge TPU"),
        ([OPEN, MAP], [("ADD", 1, MAPPED), ("ADD", 1, LIMITED)], "1 " + LIMITED),
        ([OPEN, OPEN, CPU], [("ADD", 2, TYPE), ("ADD", 1, MAPPED)], "1 %s, 2 %s" % (MAPPED, TYPE)),
    ],
)
def test_what_was_unknown_fits_with_anything_and_is_told_as_such(operators, rows, words):
    (told,) = compare(prediction(*operators), log(*rows))
    assert (told["kind"], told["op"], told["unknown"]) == ("open", "ADD", operators.count(OPEN))
    assert words in told["text"]


REFUSED = {"what": "the compiler does not know this version of an operator", "where": "m.tflite, operator 3", "found": "CONV_2D version 5"}
ICE = "Internal compiler error. Aborting!"


def test_a_refusal_that_came_true_is_no_difference():
    assert compare(prediction(MAP, refused=REFUSED), log(verdict="Compilation failed!")) == []


@pytest.mark.parametrize(
    ("refused", "parsed", "kind", "words"),
    [
        (REFUSED, log(("ADD", 1, MAPPED)), "different", "predicted: refused, for the compiler does not know"),
        (None, parse_log("Invalid model: a.tflite\n%s\nCompilation failed!" % ICE), "different", "predicted: compiles; told: " + ICE),
        (None, parse_log("Compilation failed!"), "different", "told: Compilation failed!"),
        (REFUSED, parse_log("Edge TPU Compiler version 16.0"), "not-compared", "told no outcome"),
        (None, parse_log("Edge TPU Compiler version 16.0"), "not-compared", "told of 0 models"),
        (None, parse_log(""), "not-compared", "the compiler told nothing"),
        (None, log(), "not-compared", "no operator table"),
    ],
)
def test_whole_models(refused, parsed, kind, words):
    (told,) = compare(prediction(MAP, refused=refused), parsed)
    assert told["kind"] == kind
    assert words in told["text"]


@pytest.mark.parametrize(("number", "kind"), [(0, "different"), (1, "not-compared"), (2, "not-compared"), (3, "different")])
def test_without_a_table_the_number_of_mapped_operators_is_compared(number, kind):
    text = "Model compiled successfully in 5 ms.\nOutput model: a\nNumber of operations that will run on Edge TPU: %d\n" % number
    (told,) = compare(prediction(MAP, OPEN, CPU), parse_log(text))
    assert told["kind"] == kind


def test_one_of_several_models_is_named_by_its_output():
    both = parse_log("Models compiled successfully in 9 ms.\n" + "".join(
        "Input model: %s.tflite\nOutput model: out/%s_edgetpu.tflite\nOperator Count Status\nADD 1 %s\n" % (name, name, status)
        for name, status in (("a", MAPPED), ("b", TYPE))
    ))  # fmt: skip
    assert compare(prediction(MAP), both, "a_edgetpu.tflite") == []
    assert compare(prediction(CPU), both, "b_edgetpu.tflite") == []
    assert compare(prediction(MAP), both, "b_edgetpu.tflite")[0]["kind"] == "different"
    assert "told of 2 models" in compare(prediction(MAP), both)[0]["text"]
    assert "told of 0 models c" in compare(prediction(MAP), both, "c")[0]["text"]


VERDICTS = some.sampled_from([MAP, CPU, OPEN, AFTER])


@given(some.lists(VERDICTS, min_size=1, max_size=8), some.data())
def test_every_outcome_that_a_prediction_allows_is_no_difference_and_no_other_is(operators, data):
    """Against a search of all ways in which the operators may turn out."""
    told = [data.draw(some.sampled_from([MAPPED, SECOND, TYPE])) for _ in operators]
    rows = [("ADD", told.count(status), status) for status in sorted(set(told))]
    found = compare(prediction(*operators), log(*rows))
    assert any(each["kind"] == "different" for each in found) == (not may_be([allowed(each) for each in operators], sorted(told)))


def allowed(each):
    if each["verdict"] == "unknown":
        return {MAPPED, SECOND, TYPE}
    return {each["status"]} if each["status"] else {SECOND, TYPE}


def may_be(choices, told):
    """Whether each choice can be given one of the told statuses, each used once."""
    if not choices:
        return True
    return any(may_be(choices[1:], told[:place] + told[place + 1 :]) for place, status in enumerate(told) if status in choices[0])
