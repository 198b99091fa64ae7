"""The compiler's command line: which options the pipeline's parameters come to, and which do not go together.

Options: coral.ai, "Edge TPU Compiler".
"""

from typing import NamedTuple, Tuple

from _edgetpu.targets import TARGETS, Target
from _runtime import StageError

PROGRAM = "edgetpu_compiler"
FOLDER = "compiled"  # where the compiler writes
# From this major version on the compiler has a timer of its own, 180 s unless told otherwise, and searches for a delegate.
_SINCE_16 = 16
# How long the stage may take (its stage.yaml), and what of that is kept for all but the attempts: the version, the prediction, the checks.
STAGE_SECONDS, OTHER_SECONDS = 3600, 120
# The newest runtime that a version compiles for, which is what it compiles for unless told otherwise (coral.ai, the same page).
_NEWEST_RUNTIME = (("16.", 14), ("15.", 13), ("14.", 13), ("2.1.", 13), ("2.0.291256449", 13), ("2.0.", 12), ("1.", 10))


class Options(NamedTuple):
    """What the pipeline asks for. version: of the compiler; seconds: limit of one run; try_seconds: the compiler's own timer, for one try
    of a search or one segment; step: 0 for the compiler's own.
    """

    version: str
    seconds: int
    try_seconds: int
    target: Target
    segments: int
    search: bool
    step: int
    tensors: Tuple[str, ...]

    def command(self, models):
        """The command as a list; `models` are file names in the folder that it is run in."""
        command = [PROGRAM, "-s"]
        if _major(self.version) >= _SINCE_16:
            command += ["--timeout_sec", str(self.try_seconds)]
        if self.lowers_runtime():
            command += ["--min_runtime_version", str(self.target.runtime)]
        if self.search:
            command += ["--search_delegate"] + (["--delegate_search_step", str(self.step)] if self.step else [])
        if self.segments > 1:
            command += ["--num_segments", str(self.segments)]
        if self.tensors:
            command += ["--intermediate_tensors", ",".join(self.tensors)]
        return [*command, "-o", FOLDER, *models]

    def lowers_runtime(self):
        """Whether the compiler must be told of a runtime that is older than what it would compile for, or may be."""
        newest = next((runtime for start, runtime in _NEWEST_RUNTIME if self.version.startswith(start)), None)
        return newest is None or self.target.runtime < newest

    def compiled_names(self, name):
        """The files that the compiler writes for the model NAME.tflite."""
        if self.segments == 1:
            return ["%s_edgetpu.tflite" % name]
        return ["%s_segment_%d_of_%d_edgetpu.tflite" % (name, number, self.segments) for number in range(self.segments)]


def read_options(task):
    """The `Options` of a task. Raises StageError for those that the compiler does not take, or not together."""
    given = task.params
    tensors = tuple(given["intermediate_tensors"])
    options = Options(
        given["version"],
        given["seconds"],
        given["try_seconds"],
        TARGETS[given["target"]],
        given["segments"],
        given["search_delegate"],
        given["delegate_search_step"] or 0,
        tensors,
    )
    _check_limits(options, given["attempts"], task.name)
    _check_search(options, task.name)
    _check_pairs(options, task.name, bool(task.inputs("others")))
    for name in tensors:
        if "," in name:
            raise StageError(
                "the name of a tensor cannot be told to the compiler, which takes a list with commas",
                "%s.intermediate_tensors" % task.name,
                "names without a comma",
                name,
                "name another tensor",
            )
    return options


def _check_limits(options, attempts, name):
    if _major(options.version) >= _SINCE_16 and options.try_seconds >= options.seconds:
        raise StageError(
            "a try has as much time as all of the compiler's run, so that no other could follow it",
            "%s.try_seconds" % name,
            "less than seconds: %d" % options.seconds,
            options.try_seconds,
            "raise `seconds` to as many tries as a search may need, or lower `try_seconds`",
        )
    most = STAGE_SECONDS - OTHER_SECONDS
    if attempts * options.seconds > most:
        raise StageError(
            "the attempts may take longer than the stage may",
            "%s.seconds" % name,
            "attempts × seconds of %d or less: the stage's %d s less %d" % (most, STAGE_SECONDS, OTHER_SECONDS),
            "%d × %d = %d" % (attempts, options.seconds, attempts * options.seconds),
            "lower `seconds` or `attempts`",
        )


def _check_search(options, name):
    if options.search and _major(options.version) < _SINCE_16:
        raise StageError(
            "this compiler does not search for a delegate",
            "%s.search_delegate" % name,
            "version 16.0 or newer",
            options.version,
            "leave out `search_delegate`, or set `version` to a compiler that has it",
        )
    if options.step and not options.search:
        raise StageError(
            "a step is given for a search that is not asked for",
            "%s.delegate_search_step" % name,
            "search_delegate: true",
            "search_delegate: false",
            "set `search_delegate: true`, or leave out `delegate_search_step`",
        )


def _check_pairs(options, name, together):
    asked = {
        "segments": options.segments > 1,
        "search_delegate": options.search,
        "intermediate_tensors": bool(options.tensors),
        "others": together,
    }
    for one, other, why in _EXCLUSIVE:
        if asked[one] and asked[other]:
            raise StageError(
                "%s and %s do not go together: %s" % (one, other, why), "%s.%s" % (name, one), "one of them", "both", "leave out one"
            )


_EXCLUSIVE = (
    ("segments", "intermediate_tensors", "the compiler cuts each segment itself, and the tensors are not in all of them"),
    ("segments", "others", "the compiler cuts one model into segments, or compiles several whole ones"),
    ("search_delegate", "intermediate_tensors", "the search chooses the tensors"),
    ("intermediate_tensors", "others", "nothing says which of the models has them"),
)


def _major(version):
    return int(version.split(".")[0])
