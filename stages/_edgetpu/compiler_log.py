"""What edgetpu_compiler 1.0 to 16.0 prints, as data: its standard output and error, and the operation log file that it leaves.

The messages are those of texts that users published. A text may be cut off, wrapped, quoted with a shell prompt, hold several runs, or have
lines of standard error anywhere between those of standard output: messages are looked for wherever a word begins, not line by line, and
the blanks in them may be line ends. What is no known message is kept, as an unknown line.
"""

import re
from typing import NamedTuple

from _edgetpu.words import STATUSES

SUCCESS, FAILURE, UNKNOWN = "success", "failure", "unknown"

_UNIT_BITS = {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
_MODEL_FIELDS = (
    "input",
    "output",
    "input_size",
    "output_size",
    "on_chip_used",
    "on_chip_remaining",
    "on_chip_available",
    "off_chip",
    "subgraphs",
    "operations",
    "on_edge_tpu",
    "on_cpu",
    "operation_log",
    "operators",
    "milliseconds",
)

_NUMBER = r"([0-9]{1,12})(?!\S)"
_SIZE = r"([0-9]{1,15}(?:\.[0-9]{1,6})?(?:B|KiB|MiB|GiB|TiB))(?!\S)"
_OP = r"([A-Z][A-Z0-9_]{0,60})"
_COUNT = r"([0-9]{1,9})"
_LINE_START = r"(?<![^\n])"
_VALUE = r"[ \t]*\n?[ \t]*"  # between a name and its value


class _Message(NamedTuple):
    """does: what it tells; about: the field, the kind of error, …; words: a regular expression whose blanks stand for any white space;
    rest: its value is what follows it, up to the next message or the end of the line.
    """

    does: str
    about: object
    words: str
    rest: bool = False


class _Error(NamedTuple):
    """failed: True where the compilation has then failed; None where a try that goes well may follow."""

    kind: str
    failed: object


# The first that fits counts: what is particular comes before what is general.
_MESSAGES = (
    _Message("version", None, r"Edge TPU Compiler version ([0-9]{1,6}(?:\.[0-9]{1,12}){0,4})(?!\S)"),
    _Message("command", None, _LINE_START + r"[^\n]*?[$#%>!]\s*(?:sudo )?(?=edgetpu_compiler(?!\S))", rest=True),
    # A model's block.
    _Message("text", "input", r"Input(?: model)?:" + _VALUE, rest=True),
    _Message("text", "output", r"Output(?: model)?:" + _VALUE, rest=True),
    _Message("text", "operation_log", r"Operation log:" + _VALUE, rest=True),
    _Message("size", "input_size", r"Input size:\s*" + _SIZE),
    _Message("size", "output_size", r"Output size:\s*" + _SIZE),
    _Message("size", "on_chip_used", r"On-chip memory used for caching model parameters:\s*" + _SIZE),
    _Message("size", "on_chip_remaining", r"On-chip memory remaining for caching model parameters:\s*" + _SIZE),
    _Message("size", "on_chip_available", r"On-chip memory available for caching model parameters:\s*" + _SIZE),
    _Message("size", "off_chip", r"Off-chip memory used for streaming uncached model parameters:\s*" + _SIZE),
    _Message("number", "subgraphs", r"Number of Edge TPU subgraphs:\s*" + _NUMBER),
    _Message("number", "operations", r"Total number of operations:\s*" + _NUMBER),
    _Message("number", "on_edge_tpu", r"Number of operations that will run on Edge TPU:\s*" + _NUMBER),
    _Message("number", "on_cpu", r"Number of operations that will run on CPU:\s*" + _NUMBER),
    _Message("table", None, r"Operator Count Status(?!\S)"),
    _Message("row", None, _OP + r" " + _COUNT + r" (" + "|".join(map(re.escape, STATUSES)).replace(r"\ ", " ") + r")(?!\S)"),
    _Message("other row", None, _LINE_START + _OP + r"[ \t]+" + _COUNT + r"[ \t]+(?=\S)", rest=True),
    # How it went.
    _Message("compiled", None, r"Models? compiled successfully in " + _NUMBER + r" ms\."),
    _Message("timer", None, r"Started a compilation timeout timer of " + _NUMBER + r" seconds\."),
    _Message("search", None, r"Searching for valid delegate with step " + _NUMBER),
    _Message("try", None, r"Try to compile segment with " + _NUMBER + r" ops(?!\S)"),
    _Message("tensors", None, r"Intermediate tensors:" + _VALUE, rest=True),
    _Message("verdict", SUCCESS, r"Compilation succeeded!"),
    _Message("verdict", SUCCESS, r"Models? successfully compiled but not all operations are supported by the Edge TPU\."),
    _Message("known", None, r"A percentage of the model will instead run on the CPU, which is slower\."),
    _Message("known", None, r"If possible, consider updating your model to use only operations supported by the Edge TPU\."),
    _Message("known", None, r"For details, visit g\.co/coral/model-reqs\."),
    _Message("known", None, r"See the operation log file for individual operation details\."),
    _Message("known", None, r"Compilation child process completed within timeout period\."),
    _Message("known", None, r"INFO: Initialized TensorFlow Lite runtime\."),
    # What went wrong.
    _Message("error", _Error("not-quantized", True), r"Model not quantized(?!\S)"),
    _Message(
        "error",
        _Error("operator-version", None),
        r"ERROR: Didn't find op for builtin opcode '[^'\n]{1,80}' version '[^'\n]{1,20}'"
        r"(?:\. An older version of this builtin might be supported\."
        r" Are you using an old TFLite binary with a newer model\?)?",
    ),
    _Message("error", _Error("registration", None), r"ERROR: Registration failed\."),
    _Message("error", _Error("not-parsed", True), r"Model could not be parsed(?!\S)"),
    _Message("error", _Error("invalid-model", True), r"Invalid model:" + _VALUE, rest=True),
    _Message(
        "error",
        _Error("dynamic-size", None),
        r"ERROR: Attempting to use a delegate that only supports static-sized tensors with a graph that has dynamic-sized tensors\.",
    ),
    _Message("error", _Error("delegate", None), r"ERROR: Restored original execution plan after delegate application failure\."),
    _Message(
        "error",
        _Error("interpreter", True),
        r"Compilation failed: Model failed in Tflite interpreter\. Please ensure model can be loaded/run in Tflite interpreter\.",
    ),
    _Message(
        "error",
        _Error("large-activation", True),
        r"Compilation failed: Compilation failed due to large activation tensors in model\.",
    ),
    _Message("error", _Error("timeout", True), r"Compilation timeout\. This is usually caused by large activations\."),
    _Message("error", _Error("internal", True), r"Internal compiler error\. Aborting!"),
    _Message("error", _Error("cannot-write", True), r"Error opening file for writing:" + _VALUE, rest=True),
    _Message("error", _Error("exception", None), r"(?:libc\+\+abi(?:\.dylib)?: terminating|terminate called after)(?!\S)", rest=True),
    _Message(
        "error",
        _Error("crash", True),
        r"\S{0,300}edgetpu_compiler: line [0-9]{1,6}:\s*[0-9]{1,10} "
        r"(?:Segmentation fault|Aborted|Killed|Illegal instruction|Bus error|Floating point exception)(?!\w)",
        rest=True,
    ),
    _Message("error", _Error("failed", True), r"Compilation failed!"),
    _Message("error", _Error("failed", True), r"Compilation failed:" + _VALUE, rest=True),
    _Message("error", _Error("other", None), r"ERROR:" + _VALUE, rest=True),
    _Message("warning", None, r"Warning:" + _VALUE, rest=True),
)
ERROR_KINDS = tuple(sorted({each.about.kind for each in _MESSAGES if each.does == "error"}))


def _pattern(message):
    return message.words.replace(" ", r"\s+").replace(r"[\s+\t]", r"[ \t]")


_PATTERNS = tuple(re.compile(_pattern(each)) for each in _MESSAGES)
_ANY = re.compile(r"(?<!\S)(?:%s)" % "|".join("(?P<m%d>%s)" % (number, each.pattern) for number, each in enumerate(_PATTERNS)))


def pieces(text):
    """Cut `text` into (message or None, its groups, the piece), in order and with nothing left out; None: what is no known message.

    The groups of one whose value is what follows it end with that value.
    """
    starts = list(_ANY.finditer(text))
    place = 0
    for found, following in zip(starts, [*starts[1:], None]):
        number = int(found.lastgroup[1:])
        begin, end = found.span()
        groups = _PATTERNS[number].match(text, begin).groups()
        if _MESSAGES[number].rest:
            line_end = text.find("\n", end)
            stops = [len(text) if line_end < 0 else line_end] + ([] if following is None else [following.start()])
            value_from, end = end, max(end, min(stops))
            groups += (_words(text[value_from:end]),)
        yield None, (), text[place:begin]
        yield _MESSAGES[number], groups, text[begin:end]
        place = end
    yield None, (), text[place:]


def parse_log(text):
    """What the text says, as a dict for JSON.

    It is::

        {"versions": ["16.0.384591198"],          # of the compiler, each once
         "runs": [{
            "version": …, "command": …,           # null where the text does not tell; so everywhere below
            "outcome": "success",                 # or "failure", or "unknown" where the text ends before it or does not say
            "milliseconds": 1717,                 # the sum, where the segments of a model tell one each
            "timeout_seconds": 180, "search_step": 10,
            "tries": [{"ops": 322, "intermediate_tensors": null, "outcome": "failure"}, …],     # of a delegate search, else []
            "models": [{                          # several where they were compiled together, or a model in segments
                "input": "a.tflite", "output": "a_edgetpu.tflite", "input_size": {"text": "478.66KiB", "bytes": 490148},
                "output_size": …, "on_chip_used": …, "on_chip_remaining": …, "on_chip_available": …, "off_chip": …,
                "subgraphs": 1, "operations": 90, "on_edge_tpu": 39, "on_cpu": 51, "operation_log": "a_edgetpu.log",
                "operators": [{"op": "CONV_2D", "count": 55, "status": "Mapped to Edge TPU"}, …],    # null where there is no table
                "milliseconds": 161}],
            "errors": [{"kind": "internal", "text": "Internal compiler error. Aborting!"}],          # kind: of ERROR_KINDS
            "warnings": ["…"]}],
         "unknown_lines": ["…"]}                  # every line, or part of one, that is no known message

    `bytes` is what the text amounts to: the compiler rounds to two decimals, so that it is exact below 1 KiB only (the largest error is
    5 bytes with KiB, 5.1 KiB with MiB).

    A try that was begun and whose end is not told makes the outcome unknown. An operation log file does not tell its outcome either.
    Never raises, whatever the text is. A path that is wrapped is cut where it is.
    """
    log = _Log()
    for message, groups, piece in pieces(text.replace("\r\n", "\n").replace("\r", "\n")):
        log.add(message, groups, piece)
    return {
        "versions": list(dict.fromkeys(run.fields["version"] for run in log.runs if run.fields["version"])),
        "runs": [run.told() for run in log.runs],
        "unknown_lines": log.unknown_lines,
    }


def as_one_run(log):
    """The runs of a parsed log as one, for a text that one process has printed; None where there is none.

    Version 16 compiles in a child process, which may print once more what its parent had not written yet when it began. The outcome and
    the models are those of the last run that tells some, errors and warnings those of all, each once.
    """
    if not log["runs"]:
        return None
    runs = log["runs"]
    one = {name: next((run[name] for run in reversed(runs) if run[name] not in (None, [])), runs[-1][name]) for name in runs[-1]}
    one["outcome"] = next((run["outcome"] for run in reversed(runs) if run["outcome"] != UNKNOWN), UNKNOWN)
    for name in ("errors", "warnings"):
        one[name] = list({str(each): each for run in runs for each in run[name]}.values())
    return one


class _Log:
    """Takes pieces in their order."""

    def __init__(self):
        self.runs = []
        self.unknown_lines = []

    def add(self, message, groups, piece):
        if message is None or (message.does == "other row" and not self._in_table()):
            self.unknown_lines += [line.strip() for line in piece.split("\n") if line.strip()]
            return
        if not self.runs or message.does == "command" or (message.does == "version" and not self.runs[-1].awaits_version()):
            self.runs.append(_Run())
        self.runs[-1].add(message, groups, piece)

    def _in_table(self):
        return bool(self.runs) and bool(self.runs[-1].models) and self.runs[-1].models[-1]["operators"] is not None


class _Run:
    """One run of the compiler. units: what it compiles one after another (a model, or each segment of it), each a `_Unit`."""

    def __init__(self):
        self.fields = dict.fromkeys(("version", "command", "milliseconds", "timeout_seconds", "search_step"))
        self.models = []
        self.errors = []
        self.warnings = []
        self.units = []
        self._milliseconds = None  # of the models that follow
        self._stopped = False

    def awaits_version(self):
        """Whether nothing was told yet but what may come before the version: a shell's prompt, and standard error that has overtaken it."""
        return self.fields["version"] is None and not self.units and not self.models

    def add(self, message, groups, piece):
        does, about = message.does, message.about
        if does == "version":
            self.fields["version"] = groups[0]
        elif does == "command":
            self.fields["command"] = groups[0]
        elif does in _VALUES:
            self._model_without(about)[about] = _VALUES[does](groups[0])
        elif does == "table":
            self._model_without("operators")["operators"] = []
        elif does in ("row", "other row"):
            self._add_row(*groups)
        elif does == "error":
            self._add_error(about, piece)
        elif does == "warning":
            self.warnings.append(_words(piece))
        elif does == "verdict":
            self._unit().decide(about)
        elif does != "known":
            self._add_progress(does, groups[0])

    def _add_progress(self, does, value):
        if does == "compiled":
            self._milliseconds = int(value)
            self.fields["milliseconds"] = (self.fields["milliseconds"] or 0) + self._milliseconds
            self._unit().decide(SUCCESS)
        elif does == "timer":
            self.fields["timeout_seconds"] = int(value)
            if not self.units or self.units[-1].is_done():
                self.units.append(_Unit())
        elif does == "search":
            self.fields["search_step"] = int(value)
            self.units.append(_Unit(searches=True))
        elif does == "try":
            self._unit().try_again(int(value))
        elif does == "tensors":
            self._unit().use_tensors([each.strip() for each in value.split(",") if each.strip()])

    def _unit(self):
        if not self.units:
            self.units.append(_Unit())
        return self.units[-1]

    def _model_without(self, field):
        """The model that the text is about; another one begins with a field that this one has."""
        if not self.models or self.models[-1][field] is not None:
            self.models.append(dict(dict.fromkeys(_MODEL_FIELDS), milliseconds=self._milliseconds))
        return self.models[-1]

    def _add_row(self, op, count, status):
        model = self.models[-1] if self.models else self._model_without("operators")
        model["operators"] = (model["operators"] or []) + [{"op": op, "count": int(count), "status": _words(status)}]

    def _add_error(self, error, piece):
        self.errors.append({"kind": error.kind, "text": _words(piece)})
        if error.failed:
            self._unit().decide(FAILURE)
        elif error.kind in ("exception", "registration"):
            self._stopped = True

    def told(self):
        tries = [each for unit in self.units if unit.searches for each in unit.tries]
        return dict(
            self.fields, outcome=self._outcome(), tries=tries, models=self.models, errors=self.errors, warnings=self.warnings
        )  # fmt: skip

    def _outcome(self):
        outcomes = [unit.outcome() for unit in self.units]
        if FAILURE in outcomes:
            return FAILURE
        if not outcomes or UNKNOWN in outcomes:
            # Standard error may overtake standard output: what stops a compilation counts only where no end of it is told.
            return FAILURE if self._stopped else UNKNOWN
        return SUCCESS


class _Unit:
    """What is compiled until it goes well or the compiler gives up: once, or, where it searches for a delegate, in several tries."""

    def __init__(self, searches=False):
        self.searches = searches
        self.tries = []

    def is_done(self):
        """Whether a new compilation timer belongs to another unit."""
        return not self.searches and bool(self.tries) and self.tries[-1]["outcome"] is not None

    def decide(self, outcome):
        if not self.tries:
            self._add_try(None)
        # The compiler tells success and then cannot write the file: a failure stays one.
        if self.tries[-1]["outcome"] != FAILURE:
            self.tries[-1]["outcome"] = outcome

    def try_again(self, ops):
        self.searches = True
        self._add_try(ops)

    def use_tensors(self, names):
        self.searches = True
        if not self.tries or self.tries[-1]["intermediate_tensors"] is not None:
            self._add_try(None)
        self.tries[-1]["intermediate_tensors"] = names

    def _add_try(self, ops):
        self.tries.append({"ops": ops, "intermediate_tensors": None, "outcome": None})

    def outcome(self):
        return (self.tries[-1]["outcome"] if self.tries else None) or UNKNOWN


def _size(text):
    number, unit = re.match(r"([0-9.]+)([A-Za-z]+)$", text).groups()
    return {"text": text, "bytes": round(float(number) * (1 << _UNIT_BITS[unit]))}


_VALUES = {"text": lambda text: text or None, "size": _size, "number": int}


def _words(text):
    return " ".join(text.split())
