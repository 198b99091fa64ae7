"""Provenance: statements say what the manifest says, obey the public rules, and close the chain from an artifact to its sources."""

import copy
import hashlib
import json
import re

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import resource_descriptor_pb2, statement_pb2
from in_toto_attestation.v1.statement import Statement
from mini import manifest, only
from packageurl import PackageURL

from edgemill import VERSION
from edgemill.errors import RequestError
from edgemill.files import remove
from edgemill.lineage import entries, inputs, trace
from edgemill.provenance import MOST_SUBJECTS, base_uri, builder_id, bundle, statement
from edgemill.workspace import Artifact, read_manifest

SHA = {letter: letter * 64 for letter in "0123456789abcdef"}
MANIFEST = {
    "schema": 1,
    "name": "learn-cards",
    "stage": "train",
    "kind": "checkpoint",
    "key": SHA["a"],
    "digest": SHA["b"],
    "pipeline": "cards",
    "run": "20260102-030405-abcdef",
    "edgemill": "0.1.0",
    "builder": "https://ci.example.org/edgemill#local",
    "engine": "local",
    "realised": {"image_id": "sha256:" + SHA["9"], "base": "python:3.7-slim-bookworm@sha256:" + SHA["e"], "stand_in": None},
    "image": SHA["c"],
    "image_name": "train",
    "source": SHA["d"],
    "params": {"warm_start": {"sha256": SHA["f"]}, "steps": 700, "seed": None},
    "inputs": {
        "records": {"name": "pack", "stage": "records", "key": SHA["1"], "digest": SHA["2"]},
        "extra": [{"name": "more", "stage": "records", "key": SHA["3"], "digest": SHA["4"]}],
        "absent": None,
    },
    "files": [
        {"path": "events/today", "sha256": SHA["5"], "bytes": 3},
        {"path": "model.ckpt-700.index", "sha256": SHA["6"], "bytes": 200},
    ],
    "evidence": ["events/**"],
    "tools": {"tensorflow": "1.13.1"},
    "metrics": {"loss": 1.5},
    "warnings": [],
    "started": "2026-01-02T03:04:05Z",
    "seconds": 61.4,
    "exit_code": 0,
}


def refuse_wrong_statement(line):
    """Parse a statement as the public bindings do, which refuse a field that the specifications do not know."""
    told = json_format.Parse(line, statement_pb2.Statement())
    Statement.copy_from_pb(told).validate()
    predicate = json_format.Parse(json.dumps(json.loads(line)["predicate"]), provenance_pb2.Provenance())
    # The bindings leave it to the caller what SLSA requires, and what each field must look like.
    assert told.predicate_type == "https://slsa.dev/provenance/v1"
    definition, details = predicate.build_definition, predicate.run_details
    for uri in (definition.build_type, details.builder.id):
        assert re.fullmatch(r"[a-z][a-z0-9+.-]*:(//[a-z0-9.-]+/)?\S+", uri), uri
    assert definition.external_parameters.fields
    assert not set(definition.external_parameters) & set(definition.internal_parameters)
    names = [each.name for each in told.subject]
    assert len(set(names)) == len(names)
    for descriptors in (told.subject, definition.resolved_dependencies, details.byproducts):
        for each in descriptors:
            assert isinstance(each, resource_descriptor_pb2.ResourceDescriptor)
            assert each.uri or each.digest
            assert all(re.fullmatch("[0-9a-f]{64}", value) for value in each.digest.values())
            assert not each.uri or PackageURL.from_string(each.uri).to_string() == each.uri
    dependencies = [each.name for each in definition.resolved_dependencies]
    assert len(set(dependencies)) == len(dependencies)
    return json.loads(line)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"extra": 1}, "extra"),
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "Wrong statement type"),
        ({"subject": []}, "At least one subject"),
        ({"subject": [{"name": "a"}]}, "At least one digest"),
        ({"predicate": {"buildDefinition": {"invented": 1}}}, "invented"),
        ({"predicate": {"runDetails": {"metadata": {"startedOn": "yesterday"}}}}, "startedOn"),
    ],
)
def test_the_public_bindings_refuse_what_is_wrong(wrong, says):
    with pytest.raises((ValueError, json_format.ParseError), match=says):
        refuse_wrong_statement(json.dumps({**statement(MANIFEST), **wrong}))


def published(mini, pipeline="chain"):
    """{step: its artifact} of a pipeline's last build."""
    return {link.name: Artifact(link.resolve(), read_manifest(link)) for link in sorted((mini.workspace.pipelines / pipeline).iterdir())}


def test_every_field_is_what_the_manifest_says():
    told = statement(MANIFEST)
    assert (told["_type"], told["predicateType"]) == ("https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1")
    assert told["subject"] == [
        {
            "name": ".",
            "uri": "pkg:generic/edgemill/artifacts/train@" + SHA["a"],
            "digest": {"edgemill_files": SHA["b"]},
            "annotations": {"kind": "checkpoint", "files": 1},
        },
        {"name": "model.ckpt-700.index", "digest": {"sha256": SHA["6"]}},
    ]
    assert told["predicate"]["buildDefinition"] == {
        "buildType": "urn:edgemill:provenance:stage:v1",
        "externalParameters": {
            "pipeline": "cards",
            "step": "learn-cards",
            "stage": "train",
            "params": {"warm_start": {"sha256": SHA["f"]}, "steps": 700, "seed": None},
        },
        "internalParameters": {"engine": "local", "key": SHA["a"]},
        "resolvedDependencies": [
            {
                "name": "inputs/extra/more",
                "uri": "pkg:generic/edgemill/artifacts/records@" + SHA["3"],
                "digest": {"edgemill_files": SHA["4"]},
            },
            {
                "name": "inputs/records",
                "uri": "pkg:generic/edgemill/artifacts/records@" + SHA["1"],
                "digest": {"edgemill_files": SHA["2"]},
            },
            {"name": "params/warm_start", "digest": {"edgemill_content": SHA["f"]}},
            {"name": "stage", "uri": "pkg:generic/edgemill/stages/train", "digest": {"edgemill_files": SHA["d"]}},
            {
                "name": "image",
                "uri": "pkg:generic/edgemill/images/train",
                "digest": {"edgemill_image": SHA["c"]},
                "annotations": {
                    "tools": {"tensorflow": "1.13.1"},
                    "image_id": "sha256:" + SHA["9"],
                },
            },
            {"name": "base", "uri": "pkg:docker/python@3.7-slim-bookworm", "digest": {"sha256": SHA["e"]}},
        ],
    }
    assert told["predicate"]["runDetails"] == {
        "builder": {"id": "https://ci.example.org/edgemill#local", "version": {"edgemill": "0.1.0"}},
        "metadata": {
            "invocationId": "20260102-030405-abcdef/learn-cards",
            "startedOn": "2026-01-02T03:04:05Z",
            "finishedOn": "2026-01-02T03:05:06Z",
        },
        "byproducts": [{"name": "events/today", "digest": {"sha256": SHA["5"]}}],
    }


NEWER = ("pipeline", "run", "edgemill", "builder", "realised", "source")


@pytest.mark.parametrize(
    "fields",
    [
        MANIFEST,
        {name: value for name, value in MANIFEST.items() if name not in NEWER},
        MANIFEST | {"realised": {"image_id": "sha256:" + SHA["9"], "base": "mirror.example:5000/python:3.7", "stand_in": SHA["8"]}},
        MANIFEST | {"params": {}, "inputs": {}, "tools": {}, "realised": {}},
        MANIFEST | {"name": "naïve step/°", "files": [{"path": "a b/ä.txt", "sha256": SHA["6"], "bytes": 1}]},
    ],
    ids=["whole", "an older manifest", "a stand-in for the base", "nothing optional", "names beyond ASCII"],
)
def test_a_statement_obeys_the_public_rules(fields):
    refuse_wrong_statement(bundle([fields]).decode())


def test_a_base_for_which_another_stands_in_has_no_digest():
    realised = {"image_id": "sha256:" + SHA["9"], "base": "python:3.7", "stand_in": "sha256:" + SHA["8"]}
    base = statement(MANIFEST | {"realised": realised})["predicate"]["buildDefinition"]["resolvedDependencies"][-1]
    assert base == {"name": "base", "uri": "pkg:docker/python@3.7", "annotations": {"stand_in": "sha256:" + SHA["8"]}}


def test_without_a_container_there_is_no_base():
    told = statement(MANIFEST | {"realised": {}})["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert told[-1] == {
        "name": "image",
        "uri": "pkg:generic/edgemill/images/train",
        "digest": {"edgemill_image": SHA["c"]},
        "annotations": {"tools": {"tensorflow": "1.13.1"}},
    }


def test_an_older_manifest_names_the_builder_by_its_engine():
    older = {name: value for name, value in MANIFEST.items() if name not in NEWER}
    assert statement(older)["predicate"]["runDetails"]["builder"] == {
        "id": "urn:edgemill:provenance:builder:v1#local",
        "version": {},
    }


def test_a_statement_is_one_line_of_canonical_json_and_always_the_same():
    line = bundle([MANIFEST])
    assert bundle([json.loads(json.dumps(MANIFEST, sort_keys=True))]) == line
    assert line.count(b"\n") == 1
    assert line == json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


@pytest.mark.parametrize(("files", "named"), [(MOST_SUBJECTS, MOST_SUBJECTS), (MOST_SUBJECTS + 1, 0)])
def test_a_brief_statement_tells_of_many_files_as_one(files, named):
    many = MANIFEST | {"files": [{"path": f"{number}.png", "sha256": SHA["0"], "bytes": 1} for number in range(files)]}
    assert len(statement(many)["subject"]) == 1 + files
    assert len(statement(many, brief=True)["subject"]) == 1 + named
    assert statement(many, brief=True)["subject"][0]["annotations"]["files"] == files


@pytest.mark.parametrize(
    ("base", "uri"),
    [
        ("python:3.7-slim-bookworm", "pkg:docker/python@3.7-slim-bookworm"),
        ("python:3.7@sha256:" + "0" * 64, "pkg:docker/python@3.7"),
        ("debian", "pkg:docker/debian"),
        ("team/python:3.7", "pkg:docker/team/python@3.7"),
        ("mirror.example:5000/python:3.7", "pkg:docker/mirror.example:5000/python@3.7"),
        ("mirror.example:5000/python", "pkg:docker/mirror.example:5000/python"),
    ],
)
def test_a_base_is_a_package_url(base, uri):
    assert base_uri(base) == uri


def test_the_builder_is_named_by_the_site_and_the_engine(monkeypatch):
    monkeypatch.delenv("EDGEMILL_BUILDER", raising=False)
    assert builder_id("local") == "urn:edgemill:provenance:builder:v1#local"
    monkeypatch.setenv("EDGEMILL_BUILDER", "https://ci.example.org/edgemill")
    assert (builder_id("local"), builder_id("docker")) == (
        "https://ci.example.org/edgemill#local",
        "https://ci.example.org/edgemill#docker",
    )


@pytest.mark.parametrize("name", ["our CI", "ci.example.org", "https://ci.example.org/#us", "HTTPS://ci.example.org", "https://a\nb"])
def test_a_builder_that_is_no_uri_is_refused_before_anything_runs(mini, monkeypatch, name):
    monkeypatch.setenv("EDGEMILL_BUILDER", name)
    with pytest.raises(RequestError, match="EDGEMILL_BUILDER is not the name of a builder"):
        mini.build()
    assert mini.tally == {}


def test_the_statements_of_a_real_build_obey_the_rules_and_close_the_chain(mini, monkeypatch):
    monkeypatch.setenv("EDGEMILL_BUILDER", "https://ci.example.org/edgemill")
    mini.build()
    artifacts = published(mini)
    made = trace(mini.workspace, artifacts["page"])
    assert made[-1].artifact.path == artifacts["page"].path
    told = [refuse_wrong_statement(line) for line in bundle(origin.artifact.manifest for origin in made).decode().splitlines()]
    known = set()
    for each in told:  # each artifact before what was made of it
        for dependency in each["predicate"]["buildDefinition"]["resolvedDependencies"]:
            if dependency["name"].startswith("inputs/"):
                assert (dependency["uri"], dependency["digest"]["edgemill_files"]) in known
        whole = each["subject"][0]
        known.add((whole["uri"], whole["digest"]["edgemill_files"]))
    assert len(known) == len(artifacts) == len(told)


def test_the_digests_are_those_of_the_files(mini):
    mini.build("act")
    folder = mini.workspace.pipelines / "act" / "act"
    told = statement(read_manifest(folder))
    whole, *files = told["subject"]
    assert {each["name"] for each in files} == {"info.json", "model.bin"}
    for each in (*files, *told["predicate"]["runDetails"]["byproducts"]):
        assert each["digest"]["sha256"] == hashlib.sha256((folder / each["name"]).read_bytes()).hexdigest()
    # As docs/provenance.md says.
    lines = (f"{each['digest']['sha256']} {(folder / each['name']).stat().st_size} {each['name']}\0" for each in files)
    assert (
        whole["digest"]["edgemill_files"]
        == hashlib.sha256("".join(sorted(lines, key=lambda line: line.split(" ")[2])).encode()).hexdigest()
    )


def test_a_manifest_tells_what_a_statement_needs(mini):
    mini.build("act")
    told = manifest(mini.workspace.pipelines / "act" / "act")
    run = only(list(mini.workspace.runs.iterdir())).name
    assert (told["pipeline"], told["run"], told["edgemill"], told["builder"]) == ("act", run, VERSION, builder_id("local"))
    assert told["source"] == mini.pipeline("act").steps["act"].contract.source()


def test_no_statement_tells_of_a_path_of_this_machine(mini):
    mini.build()
    made = trace(mini.workspace, published(mini)["page"])
    assert str(mini.root) not in bundle(origin.artifact.manifest for origin in made).decode()


def test_what_pipelines_share_is_not_mixed_up_by_their_names(mini):
    """The second pipeline calls another step by the name that the shared artifact has from the first."""
    (mini.root / "data" / "other.txt").write_text("quite other words\n")
    mini.build("chain")
    mini.write_pipeline(
        """
schema: 1
help: Shares the artifact of `read`, and calls another one so.
stages:
  words: {stage: read, params: {path: ../data/words.txt}}
  read: {params: {path: ../data/other.txt}}
  page:
    stage: join
    inputs: {parts: [words, read]}
"""
    )
    before = mini.tally
    mini.build("own")
    assert mini.tally - before == {"read": 1, "page": 1}
    artifacts = published(mini, "own")
    told = entries(artifacts["page"].manifest)
    assert set(told) == {artifact.key for artifact in artifacts.values()}
    assert told[artifacts["words"].key]["name"] == told[artifacts["read"].key]["name"] == "read"
    assert {key: entry["digest"] for key, entry in told.items()} == {each.key: each.digest for each in artifacts.values()}
    assert told[artifacts["page"].key]["inputs"]["parts"] == [artifacts["words"].key, artifacts["read"].key]


def by_name(fields):
    """A manifest with its lineage as it was once written."""
    older = copy.deepcopy(fields)
    names = {key: entry["name"] for key, entry in older["lineage"].items()}
    older["lineage"] = {
        entry.pop("name"): {**entry, "inputs": {into: [names[key] for key in keys] for into, keys in entry["inputs"].items()}}
        for entry in older["lineage"].values()
    }
    return older


def test_a_manifest_with_its_lineage_by_name_is_read_as_well(mini):
    mini.build()
    told = published(mini)["page"].manifest
    assert set(by_name(told)["lineage"]) == {"read", "shout", "act", "page"}
    assert entries(by_name(told)) == entries(told) == told["lineage"]


def test_inputs_are_those_that_are_there():
    assert list(inputs(MANIFEST)) == [("records", SHA["3"]), ("records", SHA["1"])]


def with_provenance(mini):
    """Let the stage `join` put its inputs' provenance into its artifact, as evidence."""
    contract, program, kinds = mini.stages / "join" / "stage.yaml", mini.stages / "join" / "run.py", mini.stages / "kinds.yaml"
    contract.write_text(contract.read_text() + "sees_provenance: true\n")
    copied = '    write_text(task.output / "all.intoto.jsonl", (task.scratch / "provenance.intoto.jsonl").read_text())\n'
    program.write_text(
        program.read_text().replace("\n\nif __name__", copied + "\n\nif __name__").replace('"\\n")\n    write', '"\\n")\n    write')
    )
    kinds.write_text(
        kinds.read_text().replace(
            "    help: What the others made.\n", "    help: What the others made.\n    evidence: [all.intoto.jsonl]\n"
        )
    )


def test_a_stage_that_sees_provenance_finds_the_statements_of_all_that_went_into_it(mini):
    with_provenance(mini)
    mini.build()
    artifacts = published(mini)
    told = (artifacts["page"].path / "all.intoto.jsonl").read_bytes()
    # In the order of its inputs, each before what was made of it.
    assert told == bundle((artifacts[name].manifest for name in ("read", "shout", "act")), brief=True)
    for line in told.decode().splitlines():
        refuse_wrong_statement(line)


def test_provenance_as_evidence_leaves_the_digest_alone(mini, monkeypatch):
    with_provenance(mini)
    mini.build()
    first = published(mini)["page"]
    told = (first.path / "all.intoto.jsonl").read_bytes()
    remove(mini.workspace.artifacts)
    monkeypatch.setenv("EDGEMILL_BUILDER", "https://another.example.org/")
    mini.build()
    again = published(mini)["page"]
    assert (again.path / "all.intoto.jsonl").read_bytes() != told
    assert (again.key, again.digest) == (first.key, first.digest)


def test_what_is_no_longer_there_is_told_and_left_out(mini):
    with_provenance(mini)
    mini.build("chain")
    artifacts = published(mini)
    remove(artifacts["read"].path)
    made = trace(mini.workspace, artifacts["act"])
    assert [origin.artifact is None for origin in made] == [True, False, False]
    assert made[0].gone == f"the artifact read/{artifacts['read'].key[:16]} is no longer in the workspace"


def test_the_command_prints_a_statement_and_the_lineage(mini):
    mini.build()
    artifacts = published(mini)
    done = mini.mill("provenance", "-p", "chain", "act")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.encode() == bundle([artifacts["act"].manifest])
    assert mini.mill("provenance", "-p", "chain", "--stage", "act").stdout == done.stdout
    whole = mini.mill("provenance", "-p", "chain", "act", "--lineage")
    assert whole.stdout.encode() == bundle(artifacts[name].manifest for name in ("read", "shout", "act"))


def test_the_command_warns_of_what_is_gone(mini):
    mini.build()
    artifacts = published(mini)
    # As after an edit that changed a step's key and not its result, and ./mill gc.
    words = mini.stages / "read" / "run.py"
    words.write_text(words.read_text() + "# a comment\n")
    mini.build()
    remove(artifacts["read"].path)
    done = mini.mill("provenance", "-p", "chain", "act", "--lineage")
    assert done.returncode == 0
    assert (
        done.stderr
        == f"warning: the artifact read/{artifacts['read'].key[:16]} is no longer in the workspace, so its statement is left out\n"
    )
    assert done.stdout.encode() == bundle(artifacts[name].manifest for name in ("shout", "act"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["provenance", "-p", "act", "atc"], "did you mean 'act'?"),
        (["provenance", "-p", "act", "act"], "the stage 'act' of the pipeline 'act' is not built"),
        (["provenance", "-p", "akt", "act"], "did you mean 'act'?"),
        (["provenance", "-p", "act"], "stage"),
    ],
)
def test_a_wrong_request_ends_with_2_and_one_message(mini, arguments, says):
    done = mini.mill(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
