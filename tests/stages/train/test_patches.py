"""The patch series of the train image: what it changes in the graph, and what it does not."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import object_detection
import pytest
import tiny_detector

from stage_helpers import ROOT

SERIES = ROOT / "patches" / "tf1-object-detection"
SITE_PACKAGES = Path(object_detection.__file__).parents[1]
PROBE = Path(__file__).with_name("head_probe.py")


def patch_files():
    return [SERIES / line for line in (SERIES / "series").read_text().split()]


def targets():
    """{path: {"before": sha256, "after": sha256}}."""
    return json.loads((SERIES / "targets.json").read_text())["targets"]


def unapply(text, patch):
    """`text` as it was before a unified diff: every hunk must be found at exactly its place, with exactly its lines."""
    lines, moved = text.splitlines(True), 0
    hunks = re.split(r"^@@ -(\d+),(\d+) \+(\d+),(\d+) @@.*\n", patch, flags=re.MULTILINE)
    for at in range(1, len(hunks), 5):
        start, count = int(hunks[at + 2]) - 1 + moved, int(hunks[at + 3])
        body = hunks[at + 4].splitlines(True)
        old = [line[1:] for line in body if line[0] in " -"]
        new = [line[1:] for line in body if line[0] in " +"]
        assert len(new) == count
        assert lines[start : start + count] == new
        lines[start : start + count] = old
        moved += len(old) - len(new)
    return "".join(lines)


def originals():
    """{path: text} of the patched files as the wheel has them."""
    found = {}
    for patch in patch_files():
        text = patch.read_text()
        path = re.search(r"^\+\+\+ b/(\S+)$", text, re.MULTILINE).group(1)
        found[path] = unapply(found.get(path) or (SITE_PACKAGES / path).read_text(), text)
    return found


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """{"patched" | "unpatched": {"standard" | "depthwise": what head_probe says}}."""
    folder = tmp_path_factory.mktemp("heads")
    for path, text in originals().items():
        (folder / path.rsplit("/", 1)[-1]).write_text(text)
    config = tiny_detector.config_text(delay=10).replace("ssd_mobilenet_v2", "ssd_mobilenet_v1")  # half as many layers to build
    (folder / "configs.json").write_text(
        json.dumps({"standard": config, "depthwise": config.replace("kernel_size: 1", "kernel_size: 3 use_depthwise: true")})
    )
    made = {}
    for name, arguments in (("patched", []), ("unpatched", [str(folder)])):
        done = subprocess.run(
            [sys.executable, str(PROBE), str(folder / "configs.json"), *arguments], stdout=subprocess.PIPE, timeout=300, check=True
        )
        made[name] = json.loads(done.stdout.decode().splitlines()[-1])
    return made


def endings(variables):
    """What the variables of each head's last convolution are called, without the feature map's scope."""
    return {re.sub(r"^BoxPredictor_\d+/", "", name) for name in variables if "_depthwise/" not in name}


def test_the_installed_files_are_those_that_the_series_leaves():
    assert {path: hashlib.sha256((SITE_PACKAGES / path).read_bytes()).hexdigest() for path in targets()} == {
        path: digests["after"] for path, digests in targets().items()
    }


def test_taking_the_patches_back_gives_the_files_of_the_wheel():
    assert {path: hashlib.sha256(text.encode()).hexdigest() for path, text in originals().items()} == {
        path: digests["before"] for path, digests in targets().items()
    }


@pytest.mark.parametrize("branch", ["standard", "depthwise"])
class TestGraph:
    def test_the_same_tensors_are_fake_quantized_with_and_without_the_patches(self, heads, branch):
        counts = ["fake_quant", "fake_quant_in_heads"]
        assert [heads["patched"][branch][name] for name in counts] == [heads["unpatched"][branch][name] for name in counts]
        assert heads["patched"][branch]["fake_quant_in_heads"] > 0

    def test_batch_norm_takes_the_place_of_the_biases_in_both_heads(self, heads, branch):
        norm = {
            f"{head}/BatchNorm/{name}"
            for head in ("BoxEncodingPredictor", "ClassPredictor")
            for name in ("beta", "gamma", "moving_mean", "moving_variance")
        }
        weights = {"BoxEncodingPredictor/weights", "ClassPredictor/weights"}
        assert endings(heads["patched"][branch]["variables"]) == weights | norm
        assert endings(heads["unpatched"][branch]["variables"]) == weights | {"BoxEncodingPredictor/biases", "ClassPredictor/biases"}

    def test_class_prediction_bias_init_becomes_the_first_beta(self, heads, branch):
        assert set(map(tuple, heads["patched"][branch]["class_offset"].values())) == {(-1.0,)}

    def test_without_the_patches_only_the_standard_branch_honours_class_prediction_bias_init(self, heads, branch):
        assert set(map(tuple, heads["unpatched"][branch]["class_offset"].values())) == {(-1.0,) if branch == "standard" else (0.0,)}
