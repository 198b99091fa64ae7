"""Bills of materials: everything that an image is made of, valid CycloneDX, and the same each time."""

import hashlib
import json
import shutil
import subprocess

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from edgemill import PROJECT, VERSION
from edgemill.errors import ImageError
from edgemill.images import load_images
from edgemill.sbom import QUESTION, answer, bill

ONE, TWO, THREE, PATCHED = "1" * 64, "2" * 64, "3" * 64, "4" * 64
BASE, DEB = "5" * 64, "6" * 64
ANSWER = """\
deb\tinstalled\tlibc6\t2.36-9+deb12u10\tamd64
deb\tconfig-files\toldlib\t1.0\tamd64
deb\tinstalled\ttzdata\t2024a-0+deb12u1\tall
system\tdebian\tbookworm
python\t3.7.17
wheel\tpip-23.0.1
wheel\tNice_Tool-1.0
"""


@pytest.fixture
def images(tmp_path):
    """Images of a small project: `plain` and `patched`."""
    docker, series = tmp_path / "docker", tmp_path / "patches" / "ours"
    for folder in (docker / "locks", series):
        folder.mkdir(parents=True)
    (docker / "images.yaml").write_text(
        """
schema: 1
images:
  plain: {help: Plain., base: "mirror.example:5000/team/python:3.7-slim", python: "3.7", system_packages: [libgomp1]}
  patched:
    help: Patched.
    base: python:3.7-slim
    python: "3.7"
    patches: ours
    tools: {compiler: "16.0"}
    debs: [the-compiler_16.0_amd64.deb, odd.deb]
"""
    )
    (docker / "images.lock").write_text(
        f"""
schema: 1
bases: {{"python:3.7-slim": "sha256:{BASE}"}}
images: {{}}
debs: {{the-compiler_16.0_amd64.deb: "{DEB}", odd.deb: null}}
"""
    )
    lock = f"""\
# a comment
Nice.Tool==1.0 --hash=sha256:{ONE}
numpy==1.16.6 \\
    --hash=sha256:{TWO} \\
    --hash=sha256:{THREE}
"""
    (docker / "locks" / "plain.lock").write_text(lock)
    (docker / "locks" / "patched.lock").write_text(lock)
    (series / "series").write_text("b.patch\na.patch\n")
    for name in ("a.patch", "b.patch"):
        (series / name).write_text(f"{name} ä\n--- a/nice/tool.py\n+++ b/nice/tool.py\n")
    declare(tmp_path, package="nice_tool")
    return lambda: load_images(docker / "images.yaml", tmp_path / "patches")


def declare(root, **fields):
    """Write the series' targets.json."""
    told = {"schema": 1, "targets": {"nice/tool.py": {"before": ONE, "after": PATCHED}}, **fields}
    (root / "patches" / "ours" / "targets.json").write_text(json.dumps(told))


def refuse_wrong_bill(text):
    """Check against CycloneDX's own strict schema, and read it back; returns its JSON."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.decode()) is None
    told = json.loads(text)
    assert len(Bom.from_json(json.loads(text)).components) == len(told["components"])
    for each in told["components"]:
        assert PackageURL.from_string(each["purl"]).to_string() == each["purl"]
    references = [each["bom-ref"] for each in told["components"]]
    assert len(set(references)) == len(references)
    (whole,) = (each for each in told["dependencies"] if each["ref"] == told["metadata"]["component"]["bom-ref"])
    assert sorted(whole["dependsOn"]) == sorted(references)
    return told


def parts(told):
    """{package URL: component}."""
    return {each["purl"]: each for each in told["components"]}


def properties(component):
    return {each["name"]: each["value"] for each in component.get("properties", ())}


@pytest.mark.parametrize("name", load_images())
def test_each_image_of_the_project_has_a_valid_bill_that_is_always_the_same(name):
    image = load_images()[name]
    text = bill(image)
    assert text == bill(load_images()[name])
    told = refuse_wrong_bill(text)
    assert told["specVersion"] == "1.6"
    assert "timestamp" not in told["metadata"]
    assert str(PROJECT) not in text.decode()
    assert told["metadata"]["component"]["version"] == image.identity[:16]
    assert told["metadata"]["tools"]["components"] == [
        {"type": "application", "name": "edgemill", "version": VERSION, "bom-ref": "edgemill"}
    ]
    lines = [line for line in image.lock.read_text().splitlines() if "==" in line]
    assert len([purl for purl in parts(told) if purl.startswith("pkg:pypi/")]) == len(lines)


def test_the_training_image_tells_of_its_patches():
    component = parts(refuse_wrong_bill(bill(load_images()["train"])))["pkg:pypi/tf-object-detection@0.0.3"]
    patches = [PROJECT / each["diff"]["url"] for each in component["pedigree"]["patches"]]
    assert sorted(path.name for path in patches) == sorted(path.name for path in (PROJECT / "patches/tf1-object-detection").glob("*.patch"))


def test_the_parts_of_an_image(images):
    told = refuse_wrong_bill(bill(images()["patched"]))
    assert {purl: (each["type"], each["name"], each.get("version")) for purl, each in parts(told).items()} == {
        "pkg:pypi/nice-tool@1.0": ("library", "nice-tool", "1.0"),
        "pkg:pypi/numpy@1.16.6": ("library", "numpy", "1.16.6"),
        "pkg:generic/python@3.7": ("platform", "python", "3.7"),
        f"pkg:docker/python@sha256:{BASE}": ("container", "python", "3.7-slim"),
        "pkg:generic/compiler@16.0": ("application", "compiler", "16.0"),
        "pkg:deb/the-compiler@16.0?arch=amd64": ("library", "the-compiler", "16.0"),
        "pkg:deb/odd": ("library", "odd", None),
    }
    known = {purl: each["hashes"] for purl, each in parts(told).items() if "hashes" in each}
    assert known == {
        "pkg:pypi/nice-tool@1.0": [{"alg": "SHA-256", "content": ONE}],
        f"pkg:docker/python@sha256:{BASE}": [{"alg": "SHA-256", "content": BASE}],
        "pkg:deb/the-compiler@16.0?arch=amd64": [{"alg": "SHA-256", "content": DEB}],
    }
    assert "not listed" in properties(told["metadata"]["component"])["edgemill:system-packages"]


def test_what_is_only_declared_is_told_without_a_version(images):
    told = parts(refuse_wrong_bill(bill(images()["plain"])))
    assert {"pkg:deb/debian/libgomp1", "pkg:docker/mirror.example:5000/team/python@3.7-slim"} <= set(told)


@pytest.mark.parametrize(
    ("wheels", "sha256"),
    [
        ({}, None),
        ({"numpy-1.16.6-cp37.whl": TWO, "other.whl": "9" * 64}, TWO),
        ({"numpy-1.16.6-cp37.whl": TWO, "numpy-1.16.6-cp36.whl": THREE}, None),
    ],
    ids=["no wheel at hand", "the one that the lock allows", "two that it allows"],
)
def test_a_package_has_the_hash_of_the_file_that_was_installed(images, wheels, sha256):
    component = parts(refuse_wrong_bill(bill(images()["plain"], wheels=wheels)))["pkg:pypi/numpy@1.16.6"]
    assert component.get("hashes") == (None if sha256 is None else [{"alg": "SHA-256", "content": sha256}])


def test_the_patched_package_has_the_whole_patches_with_their_hashes(images, tmp_path):
    component = parts(refuse_wrong_bill(bill(images()["patched"])))["pkg:pypi/nice-tool@1.0"]
    paths = [tmp_path / "patches" / "ours" / name for name in ("b.patch", "a.patch")]  # in the order of the series
    assert component["pedigree"]["notes"].splitlines() == [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in paths
    ]
    told = {each["diff"]["url"]: each["diff"]["text"] for each in component["pedigree"]["patches"]}
    assert told == {
        f"patches/ours/{path.name}": {"contentType": "text/x-diff", "content": path.read_text(encoding="utf-8")} for path in paths
    }
    assert properties(component) == {"edgemill:patched:nice/tool.py:sha256": PATCHED}


def test_a_series_that_names_no_package_is_told_of_the_image(images, tmp_path):
    declare(tmp_path)
    told = refuse_wrong_bill(bill(images()["patched"]))
    assert len(told["metadata"]["component"]["pedigree"]["patches"]) == 2
    assert not any("pedigree" in each for each in told["components"])


def test_a_built_image_tells_of_its_system_and_its_python(images):
    told = refuse_wrong_bill(bill(images()["patched"], contents=answer(ANSWER, "sha256:" + "7" * 64)))
    found = parts(told)
    assert found["pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=bookworm"]["version"] == "2.36-9+deb12u10"
    assert {purl for purl in found if purl.startswith("pkg:deb/debian/")} == {
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=bookworm",
        "pkg:deb/debian/tzdata@2024a-0%2Bdeb12u1?arch=all&distro=bookworm",
    }
    assert "pkg:generic/python@3.7.17" in found
    assert found["pkg:pypi/pip@23.0.1"]["bom-ref"] == "base/pkg:pypi/pip@23.0.1"
    # One beside the base's Python and one in the environment are two.
    assert {each["bom-ref"] for each in told["components"] if each["name"] == "nice-tool"} == {
        "pkg:pypi/nice-tool@1.0",
        "base/pkg:pypi/nice-tool@1.0",
    }
    assert properties(told["metadata"]["component"])["edgemill:image-id"] == "sha256:" + "7" * 64


def test_a_base_for_which_another_stands_in_has_not_its_hash(images):
    contents = answer(ANSWER, "sha256:" + "7" * 64, stand_in="sha256:" + "8" * 64)
    base = parts(refuse_wrong_bill(bill(images()["patched"], contents=contents)))["pkg:docker/python@3.7-slim"]
    assert "hashes" not in base
    assert properties(base) == {"edgemill:stand-in": "sha256:" + "8" * 64}


def test_a_changed_part_changes_the_serial_number(images, tmp_path):
    before = json.loads(bill(images()["plain"]))["serialNumber"]
    lock = tmp_path / "docker" / "locks" / "plain.lock"
    lock.write_text(lock.read_text().replace("1.16.6", "1.16.5"))
    assert json.loads(bill(images()["plain"]))["serialNumber"] != before


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "0 packages"),
        ("sh: dpkg-query: not found\n", "sh: dpkg-query: not found"),
        (ANSWER.replace("python\t3.7.17\n", ""), "2 packages; system; codename"),
        (ANSWER.replace("deb\tinstalled", "deb\thalf-installed"), "0 packages"),
        (ANSWER.replace("libc6\t", ""), "deb\tinstalled\t2.36-9+deb12u10\tamd64"),
        (ANSWER + "wheel\tnameless\n", "wheel\tnameless"),
    ],
)
def test_what_is_no_answer_is_refused(text, found):
    with pytest.raises(ImageError, match="the image does not say what it holds") as raised:
        answer(text, "sha256:" + "7" * 64)
    assert (raised.value.where, raised.value.found.startswith(found)) == ("sha256:" + "7" * 64, True)


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="asks this machine's own package manager")
def test_a_debian_system_answers_the_question():
    done = subprocess.run(["sh", "-c", QUESTION], capture_output=True, text=True, check=True)
    contents = answer(done.stdout, "this machine")
    assert {"dpkg", "libc6"} <= {deb.name for deb in contents.debs}
    assert contents.system == "debian"


def test_an_image_without_a_lock_has_no_bill(images, tmp_path):
    (tmp_path / "docker" / "locks" / "plain.lock").unlink()
    with pytest.raises(ImageError, match="has no lock"):
        bill(images()["plain"])
