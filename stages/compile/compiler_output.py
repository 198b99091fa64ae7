"""What edgetpu_compiler said: whether it compiled, and if not, why.

An exit status of 0 proves nothing: "Model not quantized" ends with 0 too.
"""

from _edgetpu.compiler_log import FAILURE, SUCCESS, as_one_run

# What of an error is told first, by its kind in the parsed log: (kind, what it means, what to do).
_MEANINGS = (
    (
        "not-quantized",
        "the model is not quantized",
        "convert with inference_type uint8: the Edge TPU takes fully quantized models only",
    ),
    (
        "operator-version",
        "the compiler does not know an operator's version",
        "the model was converted with a newer TensorFlow Lite than this compiler knows: use a newer compiler or an older converter",
    ),
    ("not-parsed", "the compiler cannot read the model", "check the model with the converter's lint"),
    ("dynamic-size", "the model has tensors of dynamic size", "export the model with fixed sizes, batch 1"),
    (
        "interpreter",
        "the compiler's own TensorFlow Lite cannot load the model",
        "run it with infer-tflite: what that cannot load, the compiler cannot either; operators of TensorFlow (Flex) are not supported",
    ),
    (
        "timeout",
        "the compiler's own timer ran out",
        "raise compile.try_seconds, and compile.seconds above it; large activations are the usual cause: try a smaller input size",
    ),
    (
        "large-activation",
        "the model's activations are too large for the Edge TPU",
        "try a smaller input size, or `search_delegate: true`, which leaves the operators at the end to the CPU until it compiles",
    ),
    ("cannot-write", "the compiler could not write its model", "see whether the disk is full"),
    ("crash", "the compiler crashed", "see compiler.log; try another version, or `search_delegate: true`"),
    (
        "exception",
        "the compiler ended with an exception of its own",
        "it does so again with the same model: try `search_delegate: true`, or another version",
    ),
    (
        "internal",
        "the compiler aborted with an internal error",
        "raise compile.attempts (some versions abort and then pass) or use another version",
    ),
    ("invalid-model", "the compiler refuses the model", "see its lines in compiler.log"),
    ("failed", "the compiler failed", "see its lines in compiler.log"),
    ("registration", "the compiler failed", "see its lines in compiler.log"),
)


def is_flaky(finished, log):
    """True for the kind of abort that may pass the next time.

    Of all that users report, only the internal error was seen to come and go with the same model. Where the output cannot be written it
    says so as well, and would again; an exception (std::out_of_range) is reported as coming every time.
    """
    kinds = _kinds(log)
    return not finished.timed_out and _outcome(log) == FAILURE and "internal" in kinds and "cannot-write" not in kinds


def explain(finished, log, seconds):
    """Fields of a StageError (but for where) if `finished` and its parsed log tell of a failure, else None."""
    tail = last_lines(finished.output)
    if finished.timed_out:
        return {
            "what": "the compiler did not end and was killed with everything that it had started",
            "expected": "an end within %d s" % seconds,
            "found": tail,
            "remedy": "raise compile.seconds, or try a smaller input size: large activations are the usual cause",
        }
    if finished.exit_code == 0 and _outcome(log) != FAILURE:
        return None  # the files are judged next
    kinds = [] if _outcome(log) == SUCCESS else _kinds(log)
    for kind, meaning, remedy in _MEANINGS:
        if kind in kinds:
            return {
                "what": meaning,
                "expected": "a compiled model",
                "found": "exit status %d: %s" % (finished.exit_code, tail),
                "remedy": remedy,
            }
    return {
        "what": "the compiler failed",
        "expected": "exit status 0",
        "found": "exit status %d: %s" % (finished.exit_code, tail),
        "remedy": "see compiler.log; a killing signal (a negative status) may mean that memory ran out",
    }


def said_success(log):
    """Whether the compiler told that it compiled."""
    return _outcome(log) == SUCCESS


def last_lines(output, count=6):
    """The end of what was printed, on one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " | ".join(lines[-count:])[-1000:] or "no output"


def _outcome(log):
    run = as_one_run(log)
    return run and run["outcome"]


def _kinds(log):
    run = as_one_run(log)
    return {error["kind"] for error in run["errors"]} if run else set()
