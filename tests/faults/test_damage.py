"""Damaged artifacts: found by --verify and before use as an input, set aside, built again with the same digest."""

import os
import re

import pytest
from mini import flip_byte, only, snapshot

from edgemill.errors import StageFailedError
from edgemill.workspace import MANIFEST


def writable(path):
    path.parent.chmod(0o755)
    if path.exists():
        path.chmod(0o644)
    return path


DAMAGES = {
    "a byte of a file": lambda folder: flip_byte(folder / "text.txt", 3),
    "a byte of an evidence file": lambda folder: flip_byte(folder / "notes.json", 3),
    "a byte of the manifest": lambda folder: flip_byte(folder / MANIFEST, 200),
    "a missing file": lambda folder: writable(folder / "text.txt").unlink(),
    "a missing manifest": lambda folder: writable(folder / MANIFEST).unlink(),
    "an extra file": lambda folder: writable(folder / "extra").write_text("x"),
    "a file cut short": lambda folder: os.truncate(writable(folder / "text.txt"), 3),
    "an empty manifest": lambda folder: os.truncate(writable(folder / MANIFEST), 0),
    "a pipe in place of a file": lambda folder: (writable(folder / "text.txt").unlink(), os.mkfifo(folder / "text.txt")),
}
SHOWN_BY_SIZE = {"a byte of the manifest", "a missing file", "a missing manifest", "a file cut short", "an empty manifest",
                 "a pipe in place of a file"}  # fmt: skip


@pytest.fixture
def built(mini):
    mini.build()
    return mini


def artifact(mini, step):
    return (mini.workspace.pipelines / "chain" / step).resolve()


def digests(mini):
    return {path.name: mini.workspace.find(path.resolve().parent.name, path.resolve().name, verify=True).digest
            for path in (mini.workspace.pipelines / "chain").iterdir()}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_verify_finds_it_and_builds_it_again(built, damage):
    before = digests(built)
    folder = artifact(built, "shout")
    damage(folder)
    broken = snapshot(folder) if not any(path.is_fifo() for path in folder.iterdir()) else None
    said = built.said(verify=True)
    assert re.search(rf"warning: a .*: {folder}", said)
    assert "built again" in said
    assert built.tally == {"read": 1, "shout": 2, "act": 1, "page": 1}
    assert digests(built) == before
    aside = only(list((built.workspace.work / "damaged").iterdir()))
    assert broken is None or snapshot(aside) == broken


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_it_is_found_before_it_is_used_as_an_input(built, damage):
    """`act` must run again; its input turns out to be damaged, and is made again before."""
    folder = artifact(built, "shout")
    before = digests(built)["shout"]
    damage(folder)
    said = built.said("chain", "act.do=warnings")
    assert "warning: a " in said
    assert built.tally == {"read": 1, "shout": 2, "act": 2, "page": 1}
    assert digests(built)["shout"] == before


@pytest.mark.parametrize("damage", SHOWN_BY_SIZE)
def test_what_its_size_shows_is_found_by_any_build(built, damage):
    DAMAGES[damage](artifact(built, "shout"))
    assert built.ran() == ["shout"]
    assert built.ran() == []


def test_several_damaged_inputs_are_all_built_again(built):
    for step in ("read", "shout", "act"):
        flip_byte(artifact(built, step) / ("model.bin" if step == "act" else "text.txt"), 3)
    before = built.tally
    edit(built, "[read, shout, act]", "[act, shout, read]")
    built.build()
    assert built.tally - before == {"read": 1, "shout": 1, "act": 1, "page": 1}
    digests(built)


def edit(mini, old, new):
    path = mini.root / "pipelines" / "chain.yaml"
    path.write_text(path.read_text().replace(old, new))


def test_damage_that_comes_back_ends_in_a_message(built, monkeypatch):
    """A disk that flips a byte of everything that is written to it."""
    from edgemill import step

    real = step.publish

    def publish(workspace, contract, *rest):
        made = real(workspace, contract, *rest)
        if contract.name == "shout":
            flip_byte(made.path / "text.txt", 3)
        return made

    monkeypatch.setattr(step, "publish", publish)
    flip_byte(artifact(built, "shout") / "text.txt", 3)
    with pytest.raises(StageFailedError, match="damaged again and again") as raised:
        built.build("chain", "act.do=warnings")
    assert raised.value.remedy == "check the disk"


def test_a_damaged_artifact_of_another_content_reruns_what_comes_after(built):
    """It is not deterministic: made again, it has another digest."""
    program = built.stages / "shout" / "run.py"
    program.write_text(program.read_text().replace("(in_capitals(text)", "(str(__import__('time').time_ns()) + in_capitals(text)"))
    built.build()
    before = built.tally
    flip_byte(artifact(built, "shout") / "text.txt", 3)
    built.build(verify=True)
    assert built.tally - before == {"shout": 1, "act": 1, "page": 1}


def test_a_removed_workspace_is_made_again(built):
    from edgemill.files import remove

    before = digests(built)
    remove(built.workspace.root)
    built.build()
    assert digests(built) == before


def test_a_removed_index_costs_nothing_but_reading(built):
    from edgemill.files import remove

    remove(built.workspace.root / "index")
    assert built.ran() == []
