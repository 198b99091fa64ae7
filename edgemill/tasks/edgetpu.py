"""The tasks `edgetpu.*`."""

from __future__ import annotations

from typing import Any

from invoke import Collection, Context, task

from edgemill.tasks import PIPELINE_HELP, PLACE_HELP, request_of, run

_PLACES = {"engine": PIPELINE_HELP["engine"], "workspace": PLACE_HELP["workspace"]}


@task(
    iterable=["allow"],
    help={
        **_PLACES,
        "path": "A .tflite, not compiled.",
        "target": "Target profile (else coral-runtime-14).",
        "max-cpu-ops": "A gate: fail where more operators stay on the CPU.",
        "allow": "An operator that the gate does not count (else TFLite_Detection_PostProcess); may be given several times.",
        "unknown": "warn or refuse, where the gate depends on operators of which nobody knows.",
    },
)
def predict(
    _c: Context,
    path: str,
    target: str = "",
    max_cpu_ops: str = "",
    allow: Any = None,
    unknown: str = "",
    engine: str = "",
    workspace: str = "",
) -> None:
    """Say, without the compiler, which operators of a .tflite the Edge TPU would run, and why not the others."""
    from edgemill import edgetpu_commands

    run(lambda: edgetpu_commands.predict(request_of("demo", engine, workspace), path, target, max_cpu_ops, allow or (), unknown))


@task(help={**_PLACES, "path": "A compiled .tflite.", "target": "Target profile: fail where its runtime is too old for the model."})
def inspect(_c: Context, path: str, target: str = "", engine: str = "", workspace: str = "") -> None:
    """Say what is in a compiled .tflite: the runtime that it needs, its executables, and how its parameters are cached."""
    from edgemill import edgetpu_commands

    run(lambda: edgetpu_commands.inspect(request_of("demo", engine, workspace), path, target))


@task(
    iterable=["allow", "set"],
    help={
        **PIPELINE_HELP,
        "target": "Target profile (else the pipeline's, or coral-runtime-14).",
        "max-cpu-ops": "A gate: fail where more operators stay on the CPU.",
        "allow": "An operator that the gate does not count (else TFLite_Detection_PostProcess); may be given several times.",
        "unknown": "warn or refuse, where the gate depends on operators of which nobody knows.",
    },
)
def preflight(
    _c: Context,
    pipeline: str = "demo",
    target: str = "",
    max_cpu_ops: str = "",
    allow: Any = None,
    unknown: str = "",
    engine: str = "",
    workspace: str = "",
    set: Any = None,
) -> None:
    """Say which operators of a pipeline's model the Edge TPU would run, before anything is trained: of its graph with untrained weights."""
    from edgemill import edgetpu_commands, preflight_commands

    def call() -> None:
        params = edgetpu_commands.prediction_params(target, max_cpu_ops, allow or (), unknown)
        preflight_commands.preflight(request_of(pipeline, engine, workspace, set), params)

    run(call)


collection = Collection("edgetpu", predict, preflight, inspect)
