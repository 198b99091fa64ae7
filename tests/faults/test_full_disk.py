"""A full disk: a named error, earlier artifacts intact, and all goes on once there is space."""

import os
from pathlib import Path

import pytest
from mini import snapshot

from edgemill.workspace import Workspace

SIZE = 2 << 20  # bytes


def fill(place: Path, left: int) -> Path:
    """Fill the disk but for some bytes; returns the file to remove."""
    ballast = place / "ballast"
    with ballast.open("wb") as stream:
        while True:
            free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
            if free <= left:
                return ballast
            stream.write(b"\0" * min(4096, free - left))
            stream.flush()


@pytest.fixture
def on_small_disk(mini, small_disk):
    """A project whose workspace is on the small disk, with `read` published."""
    mini.workspace = Workspace(small_disk / "workspace")
    for stage in ("read", "_words"):  # the workspace is no longer beside the tally
        for path in (mini.stages / stage).glob("*.py"):
            path.write_text(path.read_text().replace("task.output.parents[4]", f'__import__("pathlib").Path({str(mini.root)!r})'))
    mini.write_pipeline("schema: 1\nstages: {read: {params: {path: ../data/words.txt}}}\n", "read")
    mini.build("read")
    return mini


def mill(mini, *settings):
    return mini.mill("build", "-p", "act", "--workspace", str(mini.workspace.root), *settings)


@pytest.mark.parametrize("left", [0, 4096, 8192, 12288, 20480, 28672, 36864])
def test_a_build_on_a_full_disk_ends_in_a_message_and_goes_on_with_space(on_small_disk, small_disk, left):
    mini = on_small_disk
    before = snapshot(mini.workspace.artifacts)
    ballast = fill(small_disk, left)
    done = mill(mini)
    message = done.stderr[done.stderr.index("error: ") :] if done.returncode else ""
    if done.returncode:
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in message.split("last lines of its log")[0]
        assert "No space left" in message or "the disk is full" in message
        assert "./mill gc" in message
        assert "act" in message
        assert list(mini.workspace.artifacts.glob("act/*")) == []
    assert {name: content for name, content in snapshot(mini.workspace.artifacts).items() if name.startswith("read")} == before
    ballast.unlink()
    assert mill(mini).returncode == 0
    assert mini.tally["read"] == 1
    for folder in mini.workspace.artifacts.glob("*/*"):
        assert mini.workspace.find(folder.parent.name, folder.name, verify=True)


def test_with_no_space_at_all_the_build_does_fail(on_small_disk, small_disk):
    """The test above can fail: a build really lacks the space that is left there."""
    fill(small_disk, 0)
    assert mill(on_small_disk).returncode == 1


def test_a_stage_that_fills_the_disk_is_named(on_small_disk, small_disk):
    mini = on_small_disk
    done = mill(mini, "--set", "act.do=fill_disk")
    assert done.returncode == 1
    message = done.stderr[done.stderr.index("error: ") :]
    assert "the stage 'act'" in message
    assert "No space left" in message or "the disk is full" in message
    assert "./mill gc" in message
    assert mini.workspace.find("read", next(mini.workspace.artifacts.glob("read/*")).name, verify=True)
    assert mini.mill("gc", "--workspace", str(mini.workspace.root)).returncode == 0
    assert mill(mini).returncode == 0


def test_a_plan_of_a_full_disk_is_still_a_plan(on_small_disk, small_disk):
    fill(small_disk, 0)
    done = on_small_disk.mill("status", "-p", "act", "--workspace", str(on_small_disk.workspace.root))
    assert done.returncode == 0
    assert "published" in done.stdout
