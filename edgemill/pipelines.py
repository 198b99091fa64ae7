"""Pipelines: which stages, with which parameters, and which artifact feeds which input. All checked before anything runs."""

from __future__ import annotations

import graphlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgemill import PROJECT, SCHEMA
from edgemill.bundles.carried import carried
from edgemill.contracts import STAGES, Contract, InputRule, load_contract
from edgemill.documents import Document, Location, as_list, check, display, load_yaml, nearest, parse_value, unknown_name
from edgemill.errors import RequestError
from edgemill.images import Image, load_images
from edgemill.kinds import Kind, load_kinds

PIPELINES = PROJECT / "pipelines"

STEP_SCHEMA: dict[str, Any] = {
    "type": ["object", "null"],
    "additionalProperties": False,
    "properties": {
        "stage": {"type": "string"},
        "image": {"type": "string"},
        "params": {"type": "object"},
        "inputs": {"type": "object", "additionalProperties": {"type": ["string", "array"], "items": {"type": "string"}}},
        "optional": {"type": "boolean"},
    },
}
PIPELINE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "stages"],
    "properties": {
        "schema": {"const": SCHEMA},
        "help": {"type": "string"},
        "engine": {"type": "string"},
        "stages": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^[a-z0-9][a-z0-9-]*$"},
            "additionalProperties": STEP_SCHEMA,
        },
    },
}


@dataclass(frozen=True)
class Step:
    """A stage as a pipeline uses it.

    `params` is complete; a `format: path` one is an absolute path, or a list of such. `inputs` maps each input to the steps that feed it,
    in order.
    An `optional` step may be unavailable or fail without stopping the pipeline.
    """

    name: str
    contract: Contract
    image: Image
    kind: Kind
    params: Mapping[str, Any]
    inputs: Mapping[str, tuple[str, ...]]
    optional: bool
    where: str

    def sources(self) -> Iterator[tuple[str, int, Path]]:
        """What its `format: path` parameters name: the parameter, the place in its list (0 where it is none), and the path."""
        for name, value in self.params.items():
            if value is not None and self.contract.is_path(name):
                yield from ((name, place, Path(path)) for place, path in enumerate(as_list(value)))


@dataclass(frozen=True)
class Pipeline:
    """A checked pipeline; `steps` in an order in which each comes after those that feed it."""

    name: str
    path: Path
    help: str
    engine: str | None
    steps: Mapping[str, Step]

    def select(self, targets: Sequence[str]) -> Pipeline:
        """The part that makes `targets` (steps, stages or kinds of artifact, by name), with everything that feeds them; all for none.

        Raises:
            RequestError: the pipeline has no such step.
        """
        if not targets:
            return self
        wanted: set[str] = set()
        for target in targets:
            named = [name for name, step in self.steps.items() if target in (name, step.contract.name, step.contract.output)]
            if not named:
                raise unknown_name("stage of this pipeline", target, self.steps, display(self.path))
            wanted.update(named)
        for name in reversed(list(self.steps)):
            if name in wanted:
                wanted.update(feeder for feeders in self.steps[name].inputs.values() for feeder in feeders)
        return replace(self, steps={name: step for name, step in self.steps.items() if name in wanted})


def pipeline_names(folder: Path = PIPELINES) -> list[str]:
    """The names of the pipelines in the project."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def find_pipeline(name: str, folder: Path = PIPELINES) -> Path:
    """A pipeline's file, from a name in `pipelines/` or a path. Raises RequestError with the nearest name."""
    if os.sep in name or name.endswith((".yaml", ".yml")):
        return Path(name).absolute()
    path = folder / f"{name}.yaml"
    if not path.is_file():
        guess = nearest(name, pipeline_names(folder))
        raise RequestError(
            f"there is no pipeline {name!r}",
            where=str(folder),
            expected="one of " + ", ".join(pipeline_names(folder)) + ", or a path to a YAML file",
            remedy=f"did you mean {guess!r}?" if guess else None,
        )
    return path


def load_pipeline(path: Path, settings: Iterable[str] = (), stages: Path = STAGES, images: Mapping[str, Image] | None = None) -> Pipeline:
    """Read and check a pipeline; `settings` are `STAGE.PARAM=VALUE` overrides.

    Raises:
        RequestError: an unknown key, stage, parameter or input (with the nearest right one), a wrong type, kinds that do not fit, a cycle.
    """
    return check_pipeline(load_yaml(path), settings, stages, images)


def check_pipeline(
    document: Document, settings: Iterable[str] = (), stages: Path = STAGES, images: Mapping[str, Image] | None = None
) -> Pipeline:
    """The pipeline of a document, which need not be a file: its path gives the name, and the folder of relative paths.

    Raises:
        RequestError: as `load_pipeline`.
    """
    check(document, PIPELINE_SCHEMA)
    images = load_images() if images is None else images
    kinds = load_kinds(stages / "kinds.yaml")
    overrides = _parse_settings(settings, document)
    steps = {
        name: _step(name, fields or {}, document, stages, images, kinds, overrides.get(name, {}))
        for name, fields in document.data["stages"].items()
    }
    for step in steps.values():
        _check_inputs(step, steps, document)
    data = document.data
    return Pipeline(document.path.stem, document.path, data.get("help", ""), data.get("engine"), _in_order(steps, document))


def _step(
    name: str,
    fields: Mapping[str, Any],
    document: Document,
    stages: Path,
    images: Mapping[str, Image],
    kinds: Mapping[str, Kind],
    overrides: Mapping[str, Any],
) -> Step:
    location: Location = ("stages", name)
    where = document.where(location)
    contract = load_contract(fields.get("stage", name), stages, document.where((*location, "stage")))
    for label, word, known in (("image", contract.image, images), ("kind", contract.output, kinds)):
        if word not in known:
            raise unknown_name(label, word, known, str(contract.folder / "stage.yaml"))
    check(document, contract.params_schema(), (*location, "params"), given := fields.get("params", {}))
    if overrides:
        source = Document(Path("--set"), overrides, {})
        given = _merge(given, overrides, contract, name)
        check(source, contract.params_schema(), (name,), given)
    params = {**contract.defaults(), **given}
    for param, value in params.items():
        if value is not None and contract.is_path(param):
            place = f"--set {name}.{param}" if param in overrides else document.where((*location, "params", param))
            base = Path.cwd() if param in overrides else document.path.parent
            found = [_existing(each, base, place, f"{name}.{param}") for each in as_list(value)]
            params[param] = found if isinstance(value, list) else found[0]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            params[param] = _normal(value, contract.params[param]["type"])
    inputs = {key: (value,) if isinstance(value, str) else tuple(value) for key, value in fields.get("inputs", {}).items()}
    image = _image(contract, images, fields.get("image", contract.image), document.where((*location, "image")))
    return Step(name, contract, image, kinds[contract.output], params, inputs, fields.get("optional", False), where)


def _image(contract: Contract, images: Mapping[str, Image], name: str, where: str) -> Image:
    """The stage's image, or the variant of it that the pipeline asks for. Raises RequestError."""
    variants = [other.name for other in images.values() if other.gpus and other.extends == contract.image]
    if name not in (contract.image, *variants):
        raise unknown_name(f"image for the stage {contract.name}", name, [contract.image, *variants], where)
    return images[name]


def _existing(value: str, base: Path, where: str, setting: str) -> str:
    """The absolute path of a `format: path` parameter. Raises RequestError where nothing is there."""
    try:
        found = os.path.abspath(base / Path(value).expanduser())
    except RuntimeError:  # ~NAME of a user that does not exist
        found = value
    if value and not os.path.exists(found):
        found = carried(found) or found
    if not value or not os.path.exists(found):
        raise RequestError(
            "no such file or folder",
            where=where,
            found=found if value else "an empty path",
            remedy=f"give its place with --set {setting}=PATH, or relative to the pipeline's file",
        )
    return found


def _normal(value: float, kind: str) -> float:
    """The same number in the one form that its type has, so that 1 and 1.0 give the same key."""
    if kind == "integer":
        return int(value)
    return float(value) if kind == "number" and abs(value) < 2**53 else value


def _check_inputs(step: Step, steps: Mapping[str, Step], document: Document) -> None:
    rules = step.contract.inputs
    location: Location = ("stages", step.name, "inputs")
    for key, feeders in step.inputs.items():
        where = document.where((*location, key))
        if key not in rules:
            raise unknown_name(f"input of {step.contract.name}", key, rules, where)
        if len(feeders) != 1 and not rules[key].many:
            raise RequestError(f"the input {key!r} takes one artifact", where=where, found=", ".join(feeders) or "none")
        if len(set(feeders)) != len(feeders):
            raise RequestError(f"the input {key!r} takes each artifact once", where=where, found=", ".join(feeders))
        for feeder in feeders:
            _check_feed(step, key, rules[key], feeder, steps, where)
        may_all_lack = all(steps[feeder].optional for feeder in feeders) and bool(feeders)
        if may_all_lack and not rules[key].optional and not step.optional:
            raise RequestError(
                f"{feeders[0]!r} is optional, but the input {key!r} of {step.name!r} must be there",
                where=where,
                remedy=f"make {step.name!r} optional too, or {feeders[0]!r} not",
            )
    for key, rule in rules.items():
        if not rule.optional and not step.inputs.get(key):
            fitting = [name for name, other in steps.items() if other.kind.name in rule.kinds and other is not step]
            raise RequestError(
                f"the stage {step.name!r} lacks its input {key!r}",
                where=document.where(location),
                expected=f"an artifact of kind {rule.wanted}",
                remedy=f"write `inputs: {{{key}: {fitting[0]}}}`" if fitting else f"add a stage that makes {rule.wanted}",
            )


def _check_feed(step: Step, key: str, rule: InputRule, feeder: str, steps: Mapping[str, Step], where: str) -> None:
    if feeder not in steps:
        raise unknown_name("stage of this pipeline", feeder, steps, where)
    if not rule.takes(steps[feeder].kind.name):
        raise RequestError(
            f"{feeder!r} does not fit the input {key!r} of {step.name!r}",
            where=where,
            expected=f"an artifact of kind {rule.wanted}",
            found=f"{feeder} makes {steps[feeder].kind.name}",
        )


def _in_order(steps: Mapping[str, Step], document: Document) -> dict[str, Step]:
    graph = {name: [feeder for feeders in step.inputs.values() for feeder in feeders] for name, step in steps.items()}
    try:
        order = list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        cycle = error.args[1]
        raise RequestError(
            "the stages feed each other in a circle", where=document.where(("stages", cycle[0])), found=" -> ".join(reversed(cycle))
        ) from None
    return {name: steps[name] for name in order}


def _parse_settings(settings: Iterable[str], document: Document) -> dict[str, dict[str, Any]]:
    """`STAGE.PARAM=VALUE` by stage. Raises RequestError."""
    parsed: dict[str, dict[str, Any]] = {}
    for setting in settings:
        target, equals, text = setting.partition("=")
        step, dot, param = target.partition(".")
        if not equals or not dot or not step or not param:
            raise RequestError("a setting is not of the accepted form", where="--set", expected="STAGE.PARAM=VALUE", found=setting)
        if step not in document.data["stages"]:
            raise unknown_name("stage of this pipeline", step, document.data["stages"], f"--set {setting}")
        parsed.setdefault(step, {})[param] = parse_value(text)
    return parsed


def _merge(given: Mapping[str, Any], overrides: Mapping[str, Any], contract: Contract, step: str) -> dict[str, Any]:
    """Parameters with the overrides in place; `PARAM.REST` sets the key REST of an object parameter."""
    merged = dict(given)
    for name, value in overrides.items():
        param, _, rest = name.partition(".")
        if param not in contract.params:
            raise unknown_name(f"parameter of {contract.name}", param, contract.params, f"--set {step}.{name}")
        if not rest:
            merged[param] = value
        elif contract.params[param]["type"] == "object":
            merged[param] = {**merged.get(param, contract.params[param].get("default") or {}), rest: value}
        else:
            raise RequestError(f"the parameter {param!r} has no parts", where=f"--set {step}.{name}", remedy=f"--set {step}.{param}=…")
    return merged
