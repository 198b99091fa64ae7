"""Patch series: only the expected files, with the expected result, and nothing by halves."""

import difflib
import hashlib
import os

import pytest
from mini import snapshot

from edgemill.engines.patching import apply_series
from edgemill.errors import ImageError
from edgemill.images import PatchSeries

BEFORE = {"pkg/a.py": "".join(f"line {n}\n" for n in range(20)), "pkg/b.py": "one\ntwo\n", "pkg/c.py": "x\n"}


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def diff(name, old, new):
    return "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), f"a/{name}", f"b/{name}"))


@pytest.fixture
def site(tmp_path):
    """Installed packages."""
    folder = tmp_path / "site-packages"
    for name, text in BEFORE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def make(tmp_path):
    """make({name: after}, …) makes a series of one patch for each mapping, with targets for the end result."""

    def call(*steps, targets=None):
        state, patches = dict(BEFORE), []
        for number, step in enumerate(steps):
            patch = tmp_path / f"{number}.patch"
            patch.write_text("".join(diff(name, state[name], after) for name, after in step.items()))
            state |= step
            patches.append(patch)
        touched = {name for step in steps for name in step}
        sums = {name: (sha(BEFORE[name]), sha(state[name])) for name in sorted(touched)}
        return PatchSeries("series", tuple(patches), targets or sums)

    return call


AFTER_A = BEFORE["pkg/a.py"].replace("line 9\n", "line nine\n")


def test_patches_are_applied_in_order(site, make):
    twice = AFTER_A.replace("nine", "9 again")
    apply_series(make({"pkg/a.py": AFTER_A}, {"pkg/a.py": twice, "pkg/b.py": "one\n2\n"}), site)
    assert (site / "pkg/a.py").read_text() == twice
    assert (site / "pkg/b.py").read_text() == "one\n2\n"
    assert (site / "pkg/c.py").read_text() == BEFORE["pkg/c.py"]


def test_a_file_that_is_shared_by_a_hard_link_is_not_written_through(site, make, tmp_path):
    os.link(site / "pkg/a.py", tmp_path / "cached")
    apply_series(make({"pkg/a.py": AFTER_A}), site)
    assert (tmp_path / "cached").read_text() == BEFORE["pkg/a.py"]
    assert (site / "pkg/a.py").read_text() == AFTER_A


def test_byte_code_of_what_was_there_before_is_removed(site, make):
    for name in ("a.cpython-37.pyc", "ab.cpython-37.pyc"):
        (site / "pkg/__pycache__").mkdir(exist_ok=True)
        (site / "pkg/__pycache__" / name).write_bytes(b"old")
    apply_series(make({"pkg/a.py": AFTER_A}), site)
    assert [path.name for path in (site / "pkg/__pycache__").iterdir()] == ["ab.cpython-37.pyc"]


def refusal(series, site):
    """The error that a series ends in; nothing was changed."""
    before = snapshot(site)
    with pytest.raises(ImageError) as raised:
        apply_series(series, site)
    assert snapshot(site) == before
    return raised.value


def test_a_target_of_another_version_is_refused(site, make):
    (site / "pkg/b.py").write_text("one\ntwo\nthree\n")
    error = refusal(make({"pkg/a.py": AFTER_A, "pkg/b.py": "1\ntwo\n"}), site)
    assert error.what == "a file to be patched is not the expected one"
    assert error.where == f"series series: {site / 'pkg/b.py'}"
    assert (error.expected, error.found) == (sha(BEFORE["pkg/b.py"]), sha("one\ntwo\nthree\n"))
    assert "review both" in error.remedy


def test_an_empty_file_is_filled(site, make, tmp_path):
    (site / "pkg/empty.py").write_text("")
    series = make({"pkg/a.py": AFTER_A})
    fills = tmp_path / "fills.patch"
    fills.write_text("Why.\n" + diff("pkg/empty.py", "", "one\ntwo\n").replace("a/pkg/empty.py", "/dev/null"))
    targets = {**series.targets, "pkg/empty.py": (sha(""), sha("one\ntwo\n"))}
    apply_series(PatchSeries("series", (*series.patches, fills), targets), site)
    assert (site / "pkg/empty.py").read_text() == "one\ntwo\n"
    assert (site / "pkg/a.py").read_text() == AFTER_A


def test_line_ends_stay_as_they_are(site, make):
    old, new = (text.replace("\n", "\r\n") for text in (BEFORE["pkg/a.py"], AFTER_A))
    (site / "pkg/a.py").write_bytes(old.encode())
    apply_series(make({"pkg/a.py": AFTER_A}, targets={"pkg/a.py": (sha(old), sha(new))}), site)
    assert (site / "pkg/a.py").read_bytes() == new.encode()


def test_a_missing_target_is_refused(site, make):
    (site / "pkg/b.py").unlink()
    assert refusal(make({"pkg/b.py": "1\ntwo\n"}), site).found == "no such file"


def test_a_patch_that_does_not_apply_is_refused(site, make):
    series = make({"pkg/a.py": AFTER_A})
    text = series.patches[0].read_text()
    series.patches[0].write_text(text.replace(" line 8", " line eight"))
    error = refusal(series, site)
    assert error.what == "a patch does not apply"
    assert error.where == f"series series: {series.patches[0]}"


@pytest.mark.parametrize("text", ["", "no patch at all\n", "--- a/pkg/a.py\n+++ b/pkg/a.py\n@@ nonsense @@\n"])
def test_what_is_no_patch_is_refused(site, make, text):
    series = make({"pkg/a.py": AFTER_A})
    series.patches[0].write_text(text)
    assert refusal(series, site).what == "a patch does not apply"


def test_a_patch_with_another_result_is_refused(site, make):
    series = make({"pkg/a.py": AFTER_A}, targets={"pkg/a.py": (sha(BEFORE["pkg/a.py"]), "0" * 64)})
    error = refusal(series, site)
    assert error.what == "a patched file is not the expected one"
    assert (error.expected, error.found) == ("0" * 64, sha(AFTER_A))


@pytest.mark.parametrize(
    "patch",
    [
        diff("pkg/b.py", BEFORE["pkg/b.py"], "1\n2\n"),
        "--- /dev/null\n+++ b/pkg/new.py\n@@ -0,0 +1 @@\n+new\n",
        diff("../outside.py", "x\n", "y\n"),
    ],
    ids=["an installed one", "a new one", "one outside"],
)
def test_a_patch_that_touches_a_file_that_is_not_listed_is_refused(site, make, tmp_path, patch):
    (tmp_path / "outside.py").write_text("x\n")
    series = make({"pkg/a.py": AFTER_A})
    series.patches[0].write_text(series.patches[0].read_text() + patch)
    error = refusal(series, site)
    assert "does not list" in error.what or "does not apply" in error.what
    assert (tmp_path / "outside.py").read_text() == "x\n"


def test_a_patch_that_removes_its_target_is_refused(site, make):
    series = make({"pkg/a.py": AFTER_A})
    series.patches[0].write_text(
        "--- a/pkg/a.py\n+++ /dev/null\n@@ -1,20 +0,0 @@\n" + "".join(f"-{line}\n" for line in BEFORE["pkg/a.py"].splitlines())
    )
    refusal(series, site)


def test_a_failure_in_a_later_patch_leaves_everything_as_it_was(site, make):
    series = make({"pkg/a.py": AFTER_A}, {"pkg/b.py": "1\n2\n"})
    series.patches[1].write_text("nonsense\n")
    refusal(series, site)
