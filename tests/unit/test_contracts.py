"""Stage contracts: what is refused, what counts as a stage's source, and that the project's own are right."""

import ast
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from edgemill.contracts import RUNTIME, STAGES, load_contract, stage_names
from edgemill.errors import RequestError
from edgemill.images import load_images
from edgemill.kinds import ANY, load_kinds

WORDS = "schema: 1\nhelp: x\nimage: host\noutput: {kind: text}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "wrong type"),
        ("schema: 1\nhelp: x\nimage: host\n", "the keys schema, help, image, output"),
        (WORDS.replace("schema: 1", "schema: 2"), "schema"),
        (WORDS + "pramas: {}\n", "did you mean 'params'?"),
        (WORDS + "timeout: 0\n", "timeout"),
        (WORDS + "memory: 4GB\n", "not of the accepted form"),
        (WORDS + "cpus: 0\n", "cpus"),
        (WORDS + "uses: [detection]\n", "not of the accepted form"),
        (WORDS + "uses: [_absent]\n", "there is no shared folder '_absent'"),
        (WORDS + "inputs: {text: text}\n", "wrong type"),
        (WORDS + "inputs: {text: {kind: []}}\n", "inputs"),
        (WORDS + "inputs: {text: {kind: text, may: true}}\n", "unknown key 'may'"),
        (WORDS + "params: {n: {type: integer}}\n", "something is missing"),
        (WORDS + "params: {n: {type: integer, description: A, or B.}}\n", "unknown key 'or B.'"),
        (WORDS + "params: {n: {type: int, description: x}}\n", "not one of the accepted values"),
        (WORDS + "params: {n: {type: integer, description: x, default: many}}\n", "wrong type"),
        (WORDS + "params: {n: {type: integer, description: x, minimum: 2, default: 1}}\n", "minimum 2"),
        (WORDS + "params: {n: {type: string, description: x, pattern: '(', default: a}}\n", "is not a JSON Schema"),
        (WORDS + "params: {n: {type: object, description: x, properties: 3, default: {a: 1}}}\n", "is not a JSON Schema"),
    ],
)
def test_a_wrong_contract_is_refused_with_its_place(mini, text, says):
    (mini.stages / "read" / "stage.yaml").write_text(text)
    with pytest.raises(RequestError, match=None) as raised:
        load_contract("read", mini.stages)
    assert says in str(raised.value)
    assert "read/stage.yaml:" in raised.value.where or "read/stage.yaml" in raised.value.where


def test_a_stage_without_a_program_is_refused(mini):
    (mini.stages / "read" / "run.py").unlink()
    with pytest.raises(RequestError, match="has no program"):
        load_contract("read", mini.stages)


@pytest.mark.parametrize("name", ["raed", "../stages/read", "read/", "./read", "_runtime", "", ".", ".."])
def test_only_a_stage_is_a_stage(mini, name):
    with pytest.raises(RequestError, match="unknown stage"):
        load_contract(name, mini.stages)


def test_the_nearest_stage_is_named(mini):
    with pytest.raises(RequestError) as raised:
        load_contract("raed", mini.stages)
    assert raised.value.remedy == "did you mean 'read'?"
    assert "act, assay, join, learn, read, shout" in raised.value.expected


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("shout/run.py", True),
        ("shout/inner/helper.py", True),
        ("shout/table.json", True),
        ("_words/__init__.py", True),
        ("_runtime/__init__.py", True),
        ("shout/stage.yaml", False),
        ("shout/__pycache__/run.cpython-311.pyc", False),
        ("shout/inner/stray.pyc", False),
        ("shout/.run.py.swp", False),
        ("read/run.py", False),
        ("kinds.yaml", False),
    ],
)
def test_what_counts_as_source(mini, path, counts):
    contract = load_contract("shout", mini.stages)
    before = contract.source()
    place = mini.stages / path
    place.parent.mkdir(exist_ok=True)
    with place.open("ab") as stream:
        stream.write(b"\n")
    assert (contract.source() != before) is counts


def test_source_behind_a_link_counts(mini, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "code.py").write_text("A = 1\n")
    (mini.stages / "shout" / "shared").symlink_to(tmp_path / "shared")
    contract = load_contract("shout", mini.stages)
    before = contract.source()
    (tmp_path / "shared" / "code.py").write_text("A = 2\n")
    assert contract.source() != before


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("help: Write the words in large letters.", False),
        ("# a comment", False),
        ("timeout: 61", False),
        ("cpus: 3", False),
        ("memory: 2GiB", False),
        ("resumable: true", False),
        ("image: tooled", True),
        ("network: true", True),
        ("sees_run: true", True),
        ("sees_provenance: true", True),
        ("tools: [sh]", True),
        ("output: {kind: page}", True),
        ("inputs: {text: {kind: text, many: true}}", True),
        ("inputs: {text: {kind: [text, page]}}", True),
        ("inputs: {text: {kind: [text]}}", False),
    ],
)
def test_what_of_a_contract_counts(mini, line, counts):
    before = load_contract("shout", mini.stages).meaning()
    path = mini.stages / "shout" / "stage.yaml"
    key = line.split(":")[0]
    kept, skipping = [], False
    for old in path.read_text().splitlines():  # leave out the key that is replaced, with what is indented below it
        skipping = old.startswith(f"{key}:") or (skipping and old.startswith(" "))
        kept += [] if skipping else [old]
    path.write_text("\n".join([*kept, line]) + "\n")
    assert (load_contract("shout", mini.stages).meaning() != before) is counts


@pytest.mark.parametrize("name", stage_names())
def test_the_projects_own_contracts_are_right(name):
    contract = load_contract(name)
    Draft202012Validator.check_schema(contract.params_schema())
    kinds = load_kinds()
    assert contract.image in load_images()
    assert contract.output in kinds
    for rule in contract.inputs.values():
        assert set(rule.kinds) <= {ANY, *kinds}
    for schema in contract.params.values():
        assert len(schema["description"]) > 5
    assert set(contract.tools) <= set(load_images()[contract.image].tools)


@pytest.mark.parametrize("name", stage_names())
def test_a_stage_says_which_shared_folders_it_uses(name):
    """What it imports but does not name would not count in its key."""
    contract = load_contract(name)
    named = {RUNTIME, *contract.uses}
    for folder in (contract.folder, *(STAGES / shared for shared in named)):
        for path in folder.rglob("*.py"):
            assert shared_imports(path) <= named, path


def shared_imports(path: Path) -> set[str]:
    """The shared folders that a Python file imports from."""
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return {name for name in names if name.startswith("_") and (STAGES / name).is_dir()}
