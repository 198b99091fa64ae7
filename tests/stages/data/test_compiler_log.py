"""What edgetpu_compiler printed, as data: every number of every text that is known, and whatever else a text may be."""

import json
import re
import time
from pathlib import Path

import pytest
from _edgetpu.compiler_log import ERROR_KINDS, as_one_run, parse_log, pieces
from _edgetpu.words import STATUSES
from hypothesis import given, settings
from hypothesis import strategies as some

from stage_helpers import shared

TABLE = json.loads((Path(__file__).resolve().parent / "compiler_logs.json").read_text(encoding="utf-8"))
RUN = dict.fromkeys(("version", "command", "milliseconds", "timeout_seconds", "search_step"))
LISTS = ("tries", "models", "errors", "warnings")
SIZES = ("input_size", "output_size", "on_chip_used", "on_chip_remaining", "on_chip_available", "off_chip")
MODEL = dict.fromkeys(
    (*SIZES, "input", "output", "subgraphs", "operations", "on_edge_tpu", "on_cpu", "operation_log", "operators", "milliseconds")
)
TRY = dict.fromkeys(("ops", "intermediate_tensors", "outcome"))


def text_of(name):
    return (shared() / "data" / "edgetpu" / "compiler_logs" / name).read_text(encoding="utf-8")


def expected(name):
    """The table's entry with all that it leaves out."""
    entry = TABLE["texts"][name]
    runs = [_run(each) for each in entry["runs"]]
    versions = list(dict.fromkeys(run["version"] for run in runs if run["version"]))
    return {"versions": versions, "runs": runs, "unknown_lines": entry.get("unknown_lines", [])}


def _run(entry):
    lists = {each: entry.get(each, []) for each in LISTS}
    return {
        **RUN,
        **entry,
        "warnings": lists["warnings"],
        "tries": [{**TRY, **each} for each in lists["tries"]],
        "models": [_model(each) for each in lists["models"]],
        "errors": [{"kind": kind, "text": text} for kind, text in lists["errors"]],
    }


def _model(entry):
    found = {**MODEL, **entry}
    for each in SIZES:
        if found[each]:
            found[each] = dict(zip(("text", "bytes"), found[each], strict=True))
    if found["operators"]:
        found["operators"] = [{"op": op, "count": count, "status": TABLE["statuses"][letter]} for op, count, letter in found["operators"]]
    return found


@pytest.mark.parametrize("name", TABLE["texts"])
def test_each_text_that_was_published_is_understood_to_its_last_number(name):
    text = text_of(name)
    assert parse_log(text) == expected(name)
    told, without_prompts = json.dumps(expected(name)), re.sub(r"(?m)^.*\$ (?=edgetpu_compiler)", "", text)
    assert [number for number in re.findall(r"\d+(?:\.\d+)*", without_prompts) if number not in told] == []


def test_the_table_has_every_text():
    folder = shared() / "data" / "edgetpu" / "compiler_logs"
    found = {each.name for each in folder.iterdir()} - {"manifest.json"}
    assert set(TABLE["texts"]) == found == {each["file"] for each in json.loads((folder / "manifest.json").read_text())}
    assert len(found) == 28


@pytest.mark.parametrize("name", TABLE["texts"])
def test_a_text_that_is_cut_off_tells_what_is_there(name):
    text = text_of(name)
    whole = parse_log(text)
    for end in [found.end() for found in re.finditer("\n", text)]:
        found = parse_log(text[:end])
        assert len(found["runs"]) <= len(whole["runs"])
        for part, run in zip(found["runs"], whole["runs"], strict=False):
            assert len(part["models"]) <= len(run["models"])
            for has, model in zip(part["models"], run["models"], strict=False):
                assert {key: value for key, value in has.items() if value is not None and key != "operators"}.items() <= model.items()
                assert (has["operators"] or []) == (model["operators"] or [])[: len(has["operators"] or [])]
            assert part["errors"] == run["errors"][: len(part["errors"])]
            assert all(part[field] in (None, run[field]) for field in RUN)


# Texts with a block whose lines may come in any order.
SHUFFLED = ["s03_v2.0_retinaface_available_wording.txt", "s05_v16_zero_subgraphs_tf2.txt", "s07_v15_outdir.txt"]


@settings(max_examples=40)
@given(name=some.sampled_from(SHUFFLED), order=some.randoms(use_true_random=False))
def test_the_lines_of_a_block_may_come_in_any_order(name, order):
    lines = text_of(name).split("\n")
    places = [
        number for number, line in enumerate(lines) if re.match(r"(Input|Output|On-chip|Off-chip|Number|Total|Operation log)\b", line)
    ]
    moved = [lines[number] for number in places]
    order.shuffle(moved)
    for number, line in zip(places, moved, strict=True):
        lines[number] = line
    assert parse_log("\n".join(lines)) == parse_log(text_of(name))


@given(name=some.sampled_from(sorted(TABLE["texts"])), order=some.randoms(use_true_random=False))
def test_messages_may_be_wrapped_at_any_blank(name, order):
    wrapped = re.sub(" +", lambda blanks: order.choice([blanks.group(), blanks.group(), "\n"]), text_of(name))
    found, plain = parse_log(wrapped), parse_log(text_of(name))
    assert len(found["runs"]) == len(plain["runs"])
    for one, other in zip(found["runs"], plain["runs"], strict=True):
        assert [each["kind"] for each in one["errors"]] == [each["kind"] for each in other["errors"]]
        # A prompt is part of one line, and an exception's text ends where its line does.
        left_out = {"command": None, "errors": None}
        assert {**one, **left_out} == {**other, **left_out}


@pytest.mark.parametrize("name", TABLE["texts"])
def test_other_line_ends_and_a_text_all_on_one_line(name):
    text = text_of(name)
    assert parse_log(text.replace("\n", "\r\n")) == expected(name)
    if not name.startswith(("e03", "e05", "e18", "s09")):  # prompts, and another program's words, have a line of their own
        assert parse_log(" ".join(text.split())) == expected(name)


VERSION = "Edge TPU Compiler version 16.0.384591198\n"
BLOCK = """Input model: %(name)s.tflite
Input size: 8.00MiB
Output model: out/%(name)s_edgetpu.tflite
Output size: 9.31MiB
Number of Edge TPU subgraphs: 1
Total number of operations: %(count)d
Operation log: out/%(name)s_edgetpu.log
"""


def test_models_that_were_compiled_together_have_a_block_each():
    blocks = [BLOCK % {"name": name, "count": count} for name, count in (("cnn", 313), ("rnn", 78))]
    note = "See the operation log file for individual operation details.\n"
    run = parse_log(VERSION + "Models compiled successfully in 3498 ms.\n\n" + ("\n" + note).join(blocks) + note)["runs"][0]
    assert [(each["input"], each["operations"], each["milliseconds"]) for each in run["models"]] == [
        ("cnn.tflite", 313, 3498),
        ("rnn.tflite", 78, 3498),
    ]
    assert (run["outcome"], run["milliseconds"]) == ("success", 3498)


def segment(number, verdict):
    name = "model_segment_%d_of_2" % number
    timer = "Started a compilation timeout timer of 180 seconds.\n"
    if verdict == "Compilation failed!":
        return timer + "Compilation failed: Compilation failed due to large activation tensors in model.\n" + verdict + " \n"
    return timer + "\nModel compiled successfully in 100 ms.\n\n" + BLOCK % {"name": name, "count": 84} + verdict + " \n"


@pytest.mark.parametrize(
    ("verdicts", "outcome", "models", "milliseconds"),
    [
        (["Compilation succeeded!", "Compilation succeeded!"], "success", 2, 200),
        (["Compilation succeeded!", "Compilation failed!"], "failure", 1, 100),
        (["Compilation failed!", "Compilation succeeded!"], "failure", 1, 100),
    ],
)
def test_a_model_in_segments_has_failed_if_one_of_them_has(verdicts, outcome, models, milliseconds):
    run = parse_log(VERSION + "".join(segment(number, verdict) for number, verdict in enumerate(verdicts)))["runs"][0]
    assert (run["outcome"], len(run["models"]), run["milliseconds"], run["tries"]) == (outcome, models, milliseconds, [])


def a_try(ops, verdict):
    return "Try to compile segment with %d ops\nIntermediate tensors: a,b;c\n%s" % (ops, verdict)


FAILED = "Started a compilation timeout timer of 180 seconds.\nCompilation failed! \n"
COMPILED = "Started a compilation timeout timer of 180 seconds.\nModel compiled successfully in 5 ms.\n"
SEARCH = "Searching for valid delegate with step 10\n"


@pytest.mark.parametrize(
    ("text", "outcome", "tries"),
    [
        (SEARCH + a_try(20, FAILED) + a_try(10, COMPILED), "success", [(20, "failure"), (10, "success")]),
        (SEARCH + a_try(20, FAILED) + a_try(10, FAILED), "failure", [(20, "failure"), (10, "failure")]),
        (SEARCH + a_try(20, FAILED) + a_try(10, ""), "unknown", [(20, "failure"), (10, None)]),
        (SEARCH + a_try(20, COMPILED) + SEARCH + a_try(9, FAILED), "failure", [(20, "success"), (9, "failure")]),
        (SEARCH, "unknown", []),
        ("Intermediate tensors: a,b\n", "unknown", [(None, None)]),
    ],
)
def test_the_last_try_of_a_search_decides(text, outcome, tries):
    run = parse_log(VERSION + text)["runs"][0]
    assert (run["outcome"], [(each["ops"], each["outcome"]) for each in run["tries"]]) == (outcome, tries)
    assert all(each["intermediate_tensors"] in (["a", "b;c"], ["a", "b"]) for each in run["tries"])


ICE = "Internal compiler error. Aborting!"
NEW_OPERATOR = "ERROR: Didn't find op for builtin opcode 'X' version '3'\n"
CRASH = '/usr/bin/edgetpu_compiler: line 3:  1531 Segmentation fault      (core dumped) ${d}/edgetpu_compiler_bin/edgetpu_compiler "$@"'


@pytest.mark.parametrize(
    ("text", "outcome", "kinds"),
    [
        (CRASH, "failure", ["crash"]),
        (NEW_OPERATOR + "\nERROR: Registration failed.", "failure", ["operator-version", "registration"]),
        (
            "Model compiled successfully in 5 ms.\nError opening file for writing: o/m.tflite\n" + ICE,
            "failure",
            ["cannot-write", "internal"],
        ),
        ("ERROR: Node number 13 (FlexSplitV) failed to prepare.\n", "unknown", ["other"]),
        ("Compilation failed: for a reason that nobody has seen\n", "failure", ["failed"]),
        (ICE + "\nModel compiled successfully in 5 ms.\n", "failure", ["internal"]),
        (COMPILED + "Started a compilation timeout timer of 180 seconds.\n", "unknown", []),
        ("", "unknown", []),
    ],
)
def test_what_else_goes_wrong(text, outcome, kinds):
    run = parse_log(VERSION + text)["runs"][0]
    assert (run["outcome"], [each["kind"] for each in run["errors"]]) == (outcome, kinds)
    assert set(kinds) <= set(ERROR_KINDS)
    assert all(each["text"] for each in run["errors"])


def test_standard_error_that_overtakes_the_version_belongs_to_its_run():
    early = NEW_OPERATOR + "libc++abi: terminating with uncaught exception of type a\n"
    found = parse_log(early + VERSION + SEARCH + a_try(20, FAILED) + a_try(10, COMPILED))
    assert [(run["outcome"], run["version"]) for run in found["runs"]] == [("success", "16.0.384591198")]
    assert parse_log(early + VERSION)["runs"][0]["outcome"] == "failure"


def test_the_log_file_after_the_standard_output_is_a_run_of_its_own():
    found = parse_log(text_of("s07_v15_outdir.txt") + text_of("f13_v15_ssd_mnv1_tf1.log"))
    assert [(run["outcome"], len(run["models"])) for run in found["runs"]] == [("success", 1), ("unknown", 1)]


def test_what_one_process_printed_in_several_runs_is_one():
    error = {"kind": "failed", "text": "Compilation failed!"}
    one = as_one_run(parse_log(VERSION + COMPILED + BLOCK % {"name": "m", "count": 3} + VERSION + FAILED + FAILED + VERSION))
    assert (one["outcome"], one["milliseconds"], one["errors"]) == ("failure", 5, [error])
    assert [model["input"] for model in one["models"]] == ["m.tflite"]
    assert as_one_run(parse_log(text_of("s07_v15_outdir.txt"))) == parse_log(text_of("s07_v15_outdir.txt"))["runs"][0]
    assert as_one_run(parse_log("")) is None


def test_a_warning_is_kept():
    text = "Warning: For the given model, you're creating more segments than is necessary, which can increase latency.\n"
    assert parse_log(VERSION + text)["runs"][0]["warnings"] == [text.strip()]


def test_a_status_that_nobody_has_seen_is_taken_from_a_table_and_nowhere_else():
    row = "SECTION                        5          of the manual\n"
    assert parse_log(VERSION + row)["unknown_lines"] == [row.strip()]
    found = parse_log(VERSION + "Operator                       Count      Status\n\n" + row)
    assert found["runs"][0]["models"][0]["operators"] == [{"op": "SECTION", "count": 5, "status": "of the manual"}]
    assert found["unknown_lines"] == []
    assert parse_log("Operator Count Status\nsee SECTION 5 of the manual")["unknown_lines"] == ["see SECTION 5 of the manual"]


@pytest.mark.parametrize(
    "line",
    [
        "Input size: many",
        "Input size: 1,5MiB",
        "Total number of operations: 9" + "9" * 5000,
        "On-chip memory used for caching model parameters: 1e9GiB",
        "edge tpu compiler version 16",
        "$ ls edgetpu_compiler",
        "CONV_2D 5 Mapped to Edge TPUs",
        "Model compiled successfully in a while.",
    ],
)
def test_what_is_no_known_message_is_told(line):
    found = parse_log(line)
    assert found == {"versions": [], "runs": [], "unknown_lines": [line]}
    assert parse_log("Model not quantized\n%s\n" % line)["unknown_lines"] == [line]


def test_an_empty_text_tells_nothing():
    assert parse_log(" \n\r\n\t") == {"versions": [], "runs": [], "unknown_lines": []}


FRAGMENTS = [
    *["Edge TPU Compiler version", "16.0.384591198", "x$ edgetpu_compiler a.tflite", "Input model:", "Output:", "Input size:", "3.00KiB"],
    *[
        "On-chip memory used for caching model parameters:",
        "Number of Edge TPU subgraphs:",
        "Operator Count Status",
        "CONV_2D",
        "63",
        "ADD 2",
    ],
    *[
        "Started a compilation timeout timer of 180 seconds.",
        "Try to compile segment with",
        "ops",
        "Intermediate tensors:",
        "a,b",
        "ERROR:",
    ],
    *["Model compiled successfully in 3 ms.", "Compilation failed!", "Compilation failed:", "Searching for valid delegate with step 10"],
    *["Internal compiler error. Aborting!", "Model not quantized", "Compilation succeeded!", "Warning:", *STATUSES],
]
TEXTS = some.lists(
    some.one_of(some.sampled_from(FRAGMENTS), some.sampled_from([" ", "\n", "\n\n", "\t", "\r\n"]), some.text(max_size=8))
).map("".join)


def squeezed(text):
    return "".join(text.split())


@settings(max_examples=400)
@given(some.one_of(TEXTS, some.text()))
def test_any_text_is_read_and_nothing_of_it_is_lost(text):
    found = parse_log(text)
    json.dumps(found, allow_nan=False)
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    parts = list(pieces(plain))
    assert "".join(piece for _, _, piece in parts) == plain
    known = "".join(squeezed(piece) for message, _, piece in parts if message is not None and message.does != "other row")
    unknown = "".join(squeezed(line) for line in found["unknown_lines"])
    rows = "".join(squeezed(piece) for message, _, piece in parts if message is not None and message.does == "other row")
    assert len(squeezed(plain)) - len(known) - len(rows) <= len(unknown) <= len(squeezed(plain)) - len(known)
    assert all(line.strip() == line and line for line in found["unknown_lines"])


@pytest.mark.parametrize(
    "repeated", ["flood ", "Edge ", "Model", "$ ", "CONV_2D 5 ", "Input model: ", "ERROR: x ", VERSION, "\n", "x\n", "Operation 1 "]
)
def test_a_flood_takes_no_longer_than_its_length(repeated):
    text = repeated * (256 * 1024 // len(repeated))
    started = time.monotonic()
    as_one_run(parse_log(text))
    assert time.monotonic() - started < 5
