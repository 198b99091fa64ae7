"""The documentation cannot fall behind the declarations."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

import tasks
from edgemill import PROJECT
from edgemill.pipelines import pipeline_names
from edgemill.reference import contents, pipeline_schema

DOCS = "\n".join(path.read_text(encoding="utf-8") for path in [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))])


@pytest.mark.parametrize("path", contents(), ids=lambda path: path.name)
def test_what_follows_from_the_declarations_is_up_to_date(path):
    assert path.read_text(encoding="utf-8") == contents()[path], "run ./mill docs"


@pytest.mark.parametrize("name", sorted(tasks.namespace.task_names))
def test_every_task_is_documented(name):
    assert f"./mill {name}" in DOCS or f"`{name}`" in DOCS


@pytest.mark.parametrize("name", pipeline_names())
def test_the_schema_accepts_every_pipeline_of_the_project(name):
    pipeline = yaml.safe_load((PROJECT / "pipelines" / f"{name}.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(pipeline, pipeline_schema())


def test_the_schema_refuses_an_unknown_parameter():
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema": 1, "stages": {"shapes": {"params": {"trian": 3}}}}, pipeline_schema())


def test_every_document_is_linked_from_the_readme():
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    missing = [path.name for path in sorted(Path(PROJECT / "docs").glob("*.md")) if f"docs/{path.name}" not in readme]
    assert not missing


def test_the_schema_file_is_json():
    json.loads((PROJECT / "docs" / "pipeline.schema.json").read_text(encoding="utf-8"))
