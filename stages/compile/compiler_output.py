"""What edgetpu_compiler printed and left: whether it is a model for the Edge TPU, and if not, why.

The messages are those of versions 1.0 to 16.0 as users reported them. An exit status of 0 proves nothing: "Model not quantized" ends
with 0 too.
"""

from _runtime import StageError, sha256_file

CUSTOM_OP = b"edgetpu-custom-op"  # the operator that stands for what runs on the Edge TPU
MAGIC = b"TFL3"  # flatbuffer file identifier of TensorFlow Lite, at offset 4
LEAST_BYTES = 1024

# What the compiler says, in lower case: (what it means, what to do).
SAYINGS = (
    (
        "model not quantized",
        "the model is not quantized",
        "convert with inference_type uint8: the Edge TPU takes fully quantized models only",
    ),
    (
        "didn't find op for builtin opcode",
        "the compiler does not know an operator's version",
        "the model was converted with a newer TensorFlow Lite than this compiler knows: use a newer compiler or an older converter",
    ),
    ("model could not be parsed", "the compiler cannot read the model", "check the model with the converter's lint"),
    ("dynamic-sized tensors", "the model has tensors of dynamic size", "export the model with fixed sizes, batch 1"),
    (
        "compilation timeout.",
        "the compiler's own timer ran out",
        "raise compile.seconds; it is usually caused by large activations: try a smaller input size",
    ),
    ("large activation tensors", "the model's activations are too large for the Edge TPU", "try a smaller input size"),
    (
        "internal compiler error",
        "the compiler aborted with an internal error",
        "raise compile.attempts (some versions abort and then pass) or use another version",
    ),
    ("invalid model", "the compiler refuses the model", "see its lines in the log"),
    ("compilation failed", "the compiler failed", "see its lines in the log"),
)


def is_flaky(finished):
    """True for the kind of abort that may pass the next time."""
    return not finished.timed_out and "internal compiler error" in finished.output.lower()


def explain(finished, seconds):
    """Fields of a StageError (but for where) if `finished` tells of a failure, else None."""
    tail = _last_lines(finished.output)
    if finished.timed_out:
        return {
            "what": "the compiler did not end and was killed with everything that it had started",
            "expected": "an end within %d s" % seconds,
            "found": tail,
            "remedy": "raise compile.seconds, or try a smaller input size: large activations are the usual cause",
        }
    said = finished.output.lower()
    if finished.exit_code == 0 and "model compiled successfully" in said:
        return None  # a failure told before is one of a try that the compiler made on its own; the file is judged next
    for words, meaning, remedy in SAYINGS:
        if words in said:
            return {
                "what": meaning,
                "expected": "a compiled model",
                "found": "exit status %d: %s" % (finished.exit_code, tail),
                "remedy": remedy,
            }
    if finished.exit_code:
        return {
            "what": "the compiler failed",
            "expected": "exit status 0",
            "found": "exit status %d: %s" % (finished.exit_code, tail),
            "remedy": "see compiler.log; a killing signal (a negative status) may mean that memory ran out",
        }
    return None


def check_compiled(path, source, output):
    """Raise StageError unless `path` is a TensorFlow Lite file with an Edge TPU operator, and not the `source` again."""

    def bad(what, expected, found, remedy="see compiler.log; run edgetpu_compiler by hand on model.tflite"):
        return StageError(what, where=path.name, expected=expected, found=found, remedy=remedy)

    if not path.is_file():
        raise bad("the compiler ended well and left no model", path.name, _last_lines(output))
    data = path.read_bytes()
    if len(data) < LEAST_BYTES:
        raise bad("the compiler left a stub", "%d bytes or more" % LEAST_BYTES, "%d bytes" % len(data))
    if data[4:8] != MAGIC:
        raise bad("the compiler left something that is not a TensorFlow Lite model", "TFL3 at byte 4", repr(data[4:8]))
    if sha256_file(path) == sha256_file(source):
        raise bad("the compiler's model is a copy of its input", "a compiled model", "the same bytes as model.tflite")
    if CUSTOM_OP not in data:
        raise bad(
            "nothing of the model was mapped to the Edge TPU",
            "an operator %s" % CUSTOM_OP.decode(),
            _last_lines(output),
            "read the operator table in compiler.log: the first operator that is not mapped ends the mapping",
        )


def _last_lines(output, count=6):
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " | ".join(lines[-count:])[-1000:] or "no output"
