"""The files that the compiler left: each must be a model for the Edge TPU that the target can run."""

import hashlib

from compiler_output import last_lines

from _edgetpu.comparison import compare, not_compared
from _edgetpu.compiled import read_compiled, require_runtime
from _edgetpu.compiler_log import as_one_run, parse_log
from _edgetpu.interface import require_same_interface
from _edgetpu.words import CUSTOM_OP
from _runtime import StageError
from _tflite.model import read_model

LEAST_BYTES = 1024
_BY_HAND = "see compiler.log; run edgetpu_compiler by hand on model.tflite"


def check_compiled(path, source, options, output):
    """(bytes, `Package`s) of the compiled model at `path`; source: bytes of what it was made of; output: what the compiler printed.

    Raises StageError where it is missing, a stub, damaged, its input again, without an operator for the Edge TPU, has other inputs or
    outputs than its source, or asks for a newer runtime than the target's.
    """

    def bad(what, expected, found, remedy=_BY_HAND):
        return StageError(what, where=path.name, expected=expected, found=found, remedy=remedy)

    if not path.is_file():
        there = ", ".join(sorted(each.name for each in path.parent.iterdir())) or "no file"
        segments = "; with segments some versions end so where a segment cannot be compiled: try fewer" if options.segments > 1 else ""
        raise bad(
            "the compiler ended well and left no model",
            path.name,
            "%s; it said: %s" % (there, last_lines(output)),
            _BY_HAND + segments,
        )
    content = path.read_bytes()
    if len(content) < LEAST_BYTES:
        raise bad("the compiler left a stub", "%d bytes or more" % LEAST_BYTES, "%d bytes" % len(content))
    if content == source:
        raise bad("the compiler's model is a copy of its input", "a compiled model", "the same bytes as its input")
    model = _whole(read_model, content, bad)
    if all(operator.op != CUSTOM_OP for operator in model.operators):
        raise bad("nothing of the model was mapped to the Edge TPU", "an operator " + CUSTOM_OP, last_lines(output), _unmapped(options))
    packages = _whole(read_compiled, content, bad)[1]
    if options.segments == 1:
        require_same_interface(model, read_model(source), path.name, _BY_HAND)
    require_runtime(packages, options.target, path.name)
    return content, packages


def _whole(read, content, bad):
    try:
        return read(content)
    except StageError as error:
        found = "%s: %s" % (error.what, error.found)
        raise bad("the compiler left something that is not a whole model for the Edge TPU", "a TensorFlow Lite model", found) from None


def _unmapped(options):
    remedy = "prediction.json and compiler.log name the first operator that is not mapped and why: all that depends on it stays on the CPU"
    if options.lowers_runtime():
        remedy += "; for runtime %d the compiler maps less than for a newer one" % options.target.runtime
    return remedy


def describe(name, content, packages, log, log_file):
    """What compile.json tells of one file. log: what the compiler printed, parsed; log_file: text of its operation log file, or None."""
    table = operator_table(log, name)
    told_by = "standard output" if table is not None else None
    if table is None and log_file is not None:
        table = operator_table(parse_log(log_file), name)
        told_by = "operation log file" if table is not None else None
    return {
        "file": name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "runtime": max(package.runtime for package in packages),
        "cached_parameters": sum(package.cached for package in packages),
        "streamed_parameters": sum(package.streamed for package in packages),
        "operators": table,
        "operators_from": told_by,
    }


def operator_table(log, name):
    """The rows that a parsed log has for the compiled model `name`, or None."""
    run = as_one_run(log)
    named = [model for model in (run["models"] if run else []) if (model["output"] or "").rpartition("/")[2] == name]
    return next((model["operators"] for model in named if model["operators"] is not None), None)


def compared(prediction, names, options, log, log_files):
    """The differences between what was predicted of a model and what was told. names: its compiled files; log_files: {name: text}."""
    if len(names) > 1:
        return [not_compared("each segment is partitioned by itself, and the prediction is about the whole model")]
    run = as_one_run(log)
    if options.tensors or (run and len(run["tries"]) > 1):
        return [not_compared("the Edge TPU's part was made to end before the model does, and the prediction is about the whole model")]
    name = names[0]
    from_file = operator_table(log, name) is None and log_files.get(name) is not None
    return compare(prediction, parse_log(log_files[name]) if from_file else log, name)
