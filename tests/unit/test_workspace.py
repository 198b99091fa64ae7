"""Publishing, manifests and what is found damaged."""

import json
import os
import stat
from pathlib import Path

import pytest
from mini import flip_byte, snapshot

from edgemill.contracts import Contract
from edgemill.errors import DamagedArtifactError, StageFailedError
from edgemill.hashing import digest_of
from edgemill.kinds import FileRule, Kind
from edgemill.workspace import Workspace, publish, read_manifest

KIND = Kind("text", "For these tests.", (FileRule("text.txt", min_bytes=1),), ("notes/**",))
CONTRACT = Contract(
    name="write", folder=Path("/nowhere/write"), help="", image="host", uses=(), inputs={}, output="text", params={}, tools=(),
    resumable=False, network=False, sees_run=False, sees_provenance=False, timeout=1, cpus=1, memory=1, gpus=0, pids=1,
)  # fmt: skip
KEY = "k" * 64
FACTS = {"name": "step", "seconds": 1.5, "metrics": {}}


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace")


def put(workspace, key=KEY, files=None, **facts):
    """Publish an artifact of some files."""
    output = workspace.work / "write" / key / "output"
    for name, content in (files or {"text.txt": "words", "deep/er.bin": "more", "notes/log": "today"}).items():
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_text(content)
    return publish(workspace, CONTRACT, KIND, key, output, FACTS | {"lineage": {key: {"stage": "write"}}} | facts)


def test_a_published_artifact_is_found_with_its_files_and_facts(workspace):
    put(workspace)
    artifact = workspace.find("write", KEY, verify=True)
    assert artifact.key == KEY
    assert artifact.seconds == 1.5
    assert [entry["path"] for entry in artifact.manifest["files"]] == ["deep/er.bin", "notes/log", "text.txt"]
    assert artifact.manifest["evidence"] == ["notes/**"]
    assert artifact.manifest["lineage"][KEY]["digest"] == artifact.digest
    assert not (workspace.work / "write" / KEY / "output").exists()


def test_nothing_of_an_artifact_can_be_written(workspace):
    artifact = put(workspace)
    for path in [artifact.path, *artifact.path.rglob("*")]:
        assert not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH), path


def test_the_digest_is_of_the_content_without_evidence(workspace):
    first = put(workspace, "a" * 64)
    same = put(workspace, "b" * 64, {"text.txt": "words", "deep/er.bin": "more", "notes/log": "tomorrow"}, seconds=99.0)
    other = put(workspace, "c" * 64, {"text.txt": "Words", "deep/er.bin": "more", "notes/log": "today"})
    renamed = put(workspace, "d" * 64, {"text.txt": "words", "deep/er.txt": "more", "notes/log": "today"})
    assert first.digest == same.digest
    assert len({first.digest, other.digest, renamed.digest}) == 3


def test_everything_is_flushed_before_it_appears(workspace, monkeypatch):
    """What the disk's cache loses after a rename would be half an artifact."""
    done = []
    real_fsync, real_rename = os.fsync, Path.rename

    def fsync(handle):
        done.append(os.readlink(f"/proc/self/fd/{handle}"))
        return real_fsync(handle)

    def rename(source, target):
        done.append(("rename", str(source), str(target)))
        return real_rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    artifact = put(workspace)
    output = str(workspace.work / "write" / KEY / "output")
    moved = done.index(("rename", output, str(artifact.path)))
    assert {f"{output}/{name}" for name in ("text.txt", "deep/er.bin", "notes/log", "manifest.json", "deep", "notes")} | {output} <= set(
        done[:moved]
    )
    assert {str(artifact.path.parent), str(workspace.artifacts)} <= set(done[moved:])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda output: (output / "text.txt").unlink(), "left nothing"),
        (lambda output: (output / "text.txt").write_text(""), "not a valid text"),
        (lambda output: (output / "link").symlink_to("text.txt"), "symbolic link"),
        (lambda output: (output / "link").symlink_to("/etc"), "symbolic link"),
        (lambda output: (output / "link").symlink_to("nowhere"), "symbolic link"),
        (lambda output: os.mkfifo(output / "pipe"), "cannot be published"),
        (lambda output: (output / "manifest.json").write_text("{}"), "the build system writes"),
        (lambda output: Path(os.fsdecode(os.fsencode(output) + b"/caf\xe9")).write_text("x"), "is not UTF-8"),
    ],
)
def test_what_is_no_valid_artifact_is_not_published(workspace, make, says):
    output = workspace.work / "write" / KEY / "output"
    output.mkdir(parents=True)
    (output / "text.txt").write_text("words")
    make(output)
    with pytest.raises(StageFailedError, match=says):
        publish(workspace, CONTRACT, KIND, KEY, output, FACTS)
    assert workspace.find("write", KEY) is None
    assert not workspace.artifacts.exists()


def writable(path):
    path.parent.chmod(0o755)
    if path.exists():
        path.chmod(0o644)
    return path


def cut(path):
    writable(path).write_bytes(path.read_bytes()[:-1])


def replace_by(make):
    def change(path):
        writable(path).unlink()
        make(path)

    return change


# What is done to an artifact's file, what is found, and whether its size alone shows it.
DAMAGES = {
    "a byte flipped, time stamp kept": ("text.txt", flip_byte, "other bytes", False),
    "a byte of evidence flipped": ("notes/log", flip_byte, "other bytes", False),
    "cut short": ("text.txt", cut, "4 bytes instead of 5", True),
    "missing": ("deep/er.bin", lambda path: writable(path).unlink(), "missing", True),
    "evidence missing": ("notes/log", lambda path: writable(path).unlink(), "missing", True),
    "an extra file": ("more.txt", lambda path: writable(path).write_text("x"), "not in the manifest", False),
    "a link in its place": ("text.txt", replace_by(lambda path: path.symlink_to("deep/er.bin")), "bytes instead of", True),
    "a link to the same bytes": (
        "text.txt",
        replace_by(lambda path: (path.parent.parent / "copy").write_text("words") and path.symlink_to("../copy")),
        "a link",
        False,
    ),
    "a link to nothing": ("text.txt", replace_by(lambda path: path.symlink_to("nowhere")), "No such file", True),
    "a pipe in its place": ("text.txt", replace_by(os.mkfifo), "neither a file", True),
    "a folder in its place": ("text.txt", replace_by(os.mkdir), "missing", True),
}


@pytest.mark.parametrize(("name", "damage", "found", "shown_by_size"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_found(workspace, name, damage, found, shown_by_size):
    artifact = put(workspace)
    damage(artifact.path / name)
    with pytest.raises(DamagedArtifactError, match="damaged") as raised:
        workspace.find("write", KEY, verify=True)
    assert found in raised.value.found
    assert raised.value.where == str(artifact.path / name)
    if shown_by_size:
        with pytest.raises(DamagedArtifactError):
            workspace.find("write", KEY)
    else:
        assert workspace.find("write", KEY) is not None


def test_a_file_that_the_disk_cannot_give_back_is_damaged(workspace, monkeypatch):
    from edgemill import workspace as module

    put(workspace)

    def broken(path):
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(module, "sha256_file", broken)
    with pytest.raises(DamagedArtifactError) as raised:
        workspace.find("write", KEY, verify=True)
    assert raised.value.found == "Input/output error"


@pytest.mark.parametrize("place", [1, 20, 100, -3])
def test_a_byte_flipped_in_a_manifest_is_found_without_verify(workspace, place):
    artifact = put(workspace)
    flip_byte(artifact.path / "manifest.json", place)
    with pytest.raises(DamagedArtifactError, match="manifest") as raised:
        workspace.find("write", KEY)
    assert raised.value.where == str(artifact.path / "manifest.json")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"checksum": 1}', '{"checksum": "x", "key": 1}', "\xff", "[" * 100_000])
def test_a_manifest_that_is_none_is_found(workspace, text):
    artifact = put(workspace)
    writable(artifact.path / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(DamagedArtifactError, match="manifest"):
        workspace.find("write", KEY)


def test_a_manifest_of_another_schema_or_key_is_found(workspace):
    artifact = put(workspace)
    manifest = read_manifest(artifact.path)
    for change, says in (({"schema": 99}, "another schema"), ({"key": "x" * 64}, "damaged")):
        changed = manifest | change
        writable(artifact.path / "manifest.json").write_text(json.dumps({**changed, "checksum": digest_of(changed)}))
        with pytest.raises(DamagedArtifactError, match=says):
            workspace.find("write", KEY)


def test_a_damaged_artifact_is_moved_aside_whole(workspace):
    artifact = put(workspace)
    before = snapshot(artifact.path)
    aside = workspace.set_aside(artifact.path)
    assert workspace.find("write", KEY) is None
    assert snapshot(aside) == before
    again = put(workspace)
    assert again.path == artifact.path
    assert workspace.set_aside(again.path) == aside


def test_links_lead_to_artifacts_and_can_be_moved_with_the_workspace(workspace, tmp_path):
    one, other = put(workspace, "a" * 64), put(workspace, "b" * 64)
    workspace.link_pipeline("demo", "step", one)
    link = workspace.pipelines / "demo" / "step"
    assert link.resolve() == one.path
    made = link.lstat().st_ino
    workspace.link_pipeline("demo", "step", one)
    assert link.lstat().st_ino == made
    workspace.link_pipeline("demo", "step", other)
    assert link.resolve() == other.path
    workspace.root.rename(tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "pipelines" / "demo" / "step" / "text.txt").read_text() == "words"


def test_making_the_object_touches_nothing(tmp_path):
    workspace = Workspace(tmp_path / "absent")
    assert workspace.find("write", KEY) is None
    assert not workspace.root.exists()
