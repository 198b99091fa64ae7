"""`edgetpu.preflight`: what the Edge TPU would compute of a pipeline's model, predicted of its graph before anything is trained."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgemill.build import Build
from edgemill.commands import Request
from edgemill.console import Console
from edgemill.data_commands import print_file
from edgemill.documents import Document, display, load_yaml
from edgemill.engines.process import StopRequests
from edgemill.errors import RequestError, StageFailedError
from edgemill.pipelines import Pipeline, Step, check_pipeline, find_pipeline
from edgemill.plan import StepStatus, make_plan

UNTRAINED = "untrained"  # the parameter of a training that can stop before its first step
PREDICT = "predict-edgetpu"
PREDICTION, MODEL, COMPILED = "edgetpu-prediction", "tflite", "edgetpu"  # kinds
TABLE = "prediction.txt"
TARGET = "target"  # the parameter by which steps that compile, and that predict, are told what for


def preflight(request: Request, params: Mapping[str, Any]) -> None:
    """Build a pipeline's models with untrained weights, and print what is predicted of each that would be compiled, and where that is.

    params: of the stage that predicts, which go before those of the pipeline.

    Raises:
        RequestError: the pipeline trains no such model.
        EdgeMillError: as in `Build.run`, also where a prediction is worse than `params` allow.
    """
    pipeline = untrained_pipeline(request, params)
    workspace, stops = request.place(), StopRequests()
    engine = request.choose(pipeline, stops)
    try:
        statuses = Build(pipeline, workspace, engine, Console(), stops).run()
    except StageFailedError:
        # A prediction that is worse than allowed is not published: what it wrote is in its work folder.
        for status in make_plan(pipeline, workspace, engine).values():
            if status.key is not None and status.artifact is None:
                _tell(status, workspace.work_folder(status.step.contract.name, status.key) / "output")
        raise
    for name, status in statuses.items():
        _tell(status, workspace.pipelines / pipeline.name / name)


def _tell(status: StepStatus, folder: Path) -> None:
    """Print the table of a step that predicts; folder: of its artifact."""
    if status.step.kind.name == PREDICTION and (folder / TABLE).is_file():
        print(f"{', '.join(_model_of(status.step))}, with untrained weights")
        print_file(folder / TABLE)
        print(f"all of it: {display(folder)}")


def preflight_name(pipeline: str) -> str:
    """What the pipeline is called that `edgetpu.preflight` makes of another one."""
    return f"{pipeline}.preflight"


def untrained_pipeline(request: Request, params: Mapping[str, Any]) -> Pipeline:
    """The part of a pipeline that makes the models that would be compiled, each training stopped before its first step, with a prediction
    of each model at its end.

    It has a name of its own, so that nothing that it makes is linked, or kept, in the place of what the pipeline made.

    Raises:
        RequestError: the pipeline trains nothing, or makes no model of what it trains.
    """
    document = load_yaml(find_pipeline(request.pipeline))
    whole = check_pipeline(document, request.settings)
    trainings = [name for name, step in whole.steps.items() if UNTRAINED in step.contract.params]
    if not trainings:
        raise RequestError(
            "the pipeline trains nothing that could be looked at before",
            where=display(whole.path),
            expected=f"a stage with the parameter `{UNTRAINED}`",
            remedy="./mill edgetpu.predict MODEL.tflite tells of a model that is there",
        )
    fed = _fed_by(whole, trainings)
    models = _models(whole, fed)
    if not models:
        raise RequestError(
            f"no {MODEL} is made of what the pipeline trains",
            where=display(whole.path),
            remedy="add the stages that freeze and convert",
        )
    predictions = _add_predictions(document, whole, models, params)
    settings = [*request.settings, *(f"{name}.{UNTRAINED}=true" for name in trainings)]
    pipeline = check_pipeline(document, settings).select(predictions)
    return replace(pipeline, name=preflight_name(pipeline.name))


def _fed_by(pipeline: Pipeline, names: Sequence[str]) -> set[str]:
    """The steps that any of `names` feeds, by whatever is between."""
    fed = set(names)
    for name, step in pipeline.steps.items():  # in an order in which each comes after those that feed it
        if any(feeder in fed for feeders in step.inputs.values() for feeder in feeders):
            fed.add(name)
    return fed


def _models(pipeline: Pipeline, fed: Collection[str]) -> list[str]:
    """The steps that make the models which are compiled or predicted about; all that are made of what is trained where none is."""
    made = [name for name, step in pipeline.steps.items() if step.kind.name == MODEL and name in fed]
    meant = {feeder for step in pipeline.steps.values() if step.kind.name in (COMPILED, PREDICTION) for feeder in _model_of(step)}
    return [name for name in made if name in meant] or made


def _model_of(step: Step) -> list[str]:
    """The steps whose models a step takes."""
    return [feeder for name, feeders in step.inputs.items() if MODEL in step.contract.inputs[name].kinds for feeder in feeders]


def _add_predictions(document: Document, pipeline: Pipeline, models: Sequence[str], params: Mapping[str, Any]) -> list[str]:
    """Have each of `models` predicted, by the pipeline's own step for that or by a new one; the names of these steps.

    What none of these steps is told of the target is what the pipeline compiles the model for.
    """
    stages = document.data["stages"]
    for fields in stages.values():  # what is asked for here is not optional
        (fields or {}).pop("optional", None)
    made: dict[str, str] = {}
    for model in models:
        own = [name for name, step in pipeline.steps.items() if step.kind.name == PREDICTION and model in _model_of(step)]
        made |= dict.fromkeys(own, model)
        if not own:
            name = PREDICT if len(models) == 1 else f"{PREDICT}-{model}"
            stages[name] = {"stage": PREDICT, "inputs": {"model": model}}
            made[name] = model
    for name, model in made.items():
        given = {**stages[name].get("params", {}), **params}
        stages[name]["params"] = given if TARGET in given else {**_target(pipeline, model), **given}
    return list(made)


def _target(pipeline: Pipeline, model: str) -> dict[str, Any]:
    """The parameter for what the pipeline compiles a model for; none where it does not say. Raises RequestError where that is not one."""
    compiling = [step for step in pipeline.steps.values() if step.kind.name == COMPILED and model in _model_of(step)]
    told = {step.name: step.params[TARGET] for step in compiling if step.params.get(TARGET) is not None}
    targets = list(dict.fromkeys(told.values()))
    if len(targets) > 1:
        raise RequestError(
            f"{model} is compiled for several targets",
            where=display(pipeline.path),
            expected="one to predict for",
            found=", ".join(f"{name}: {target}" for name, target in told.items()),
            remedy="say which: --target, or the parameter of a step that predicts",
        )
    return {TARGET: targets[0]} if targets else {}
