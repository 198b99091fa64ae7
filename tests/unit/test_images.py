"""Image declarations and their identity, locks and patch series."""

import re
import shlex

import pytest

from edgemill import PROJECT
from edgemill.errors import ImageError, RequestError
from edgemill.images import Image, load_images, load_series, lock_meaning
from edgemill.images_lock import unlocked

DECLARED = """\
schema: 1
images:
  base:
    help: A base.
    base: python:3.11-slim
    python: "3.11"
    patches: series
    system_packages: [libgl1, curl]
    tools: {compiler: "1.0"}
    sdists: [one]
    env: {A: "1"}
    imports: [json]
  more:
    help: More of it.
    extends: base
    imports: [os]
"""
LOCK = "one==1.0 \\\n    --hash=sha256:" + "0" * 64 + " \\\n    --hash=sha256:" + "1" * 64 + "\n"
SUM = "a" * 64


@pytest.fixture
def declared(tmp_path):
    """A folder `docker` with images.yaml, locks and a Dockerfile, and a folder `patches` with a series."""
    (tmp_path / "docker" / "locks").mkdir(parents=True)
    (tmp_path / "docker" / "images.yaml").write_text(DECLARED)
    for name in ("base", "more"):
        (tmp_path / "docker" / "locks" / f"{name}.lock").write_text(LOCK)
    (tmp_path / "docker" / "base.Dockerfile").write_text("FROM x\n")
    series = tmp_path / "patches" / "series"
    series.mkdir(parents=True)
    (series / "series").write_text("# in order\none.patch\ntwo.patch  # the second\n")
    for name in ("one", "two"):
        (series / f"{name}.patch").write_text(f"{name}\n")
    (series / "targets.json").write_text(f"schema: 1\ntargets:\n  pkg/a.py: {{before: {SUM}, after: {SUM}}}\n")
    return tmp_path


def load(folder) -> dict[str, Image]:
    return load_images(folder / "docker" / "images.yaml", folder / "patches")


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "counts"),
    [
        ("docker/images.yaml", "python:3.11-slim", "python:3.11-slim-bookworm", True),
        ("docker/images.yaml", 'python: "3.11"', 'python: "3.12"', True),
        ("docker/images.yaml", "libgl1", "libgl2", True),
        ("docker/images.yaml", 'compiler: "1.0"', 'compiler: "1.1"', True),
        ("docker/images.yaml", 'A: "1"', 'A: "2"', True),
        ("docker/images.yaml", "sdists: [one]", "sdists: []", True),
        ("docker/base.Dockerfile", "FROM x", "FROM y", True),
        ("docker/locks/base.lock", "one==1.0", "one==1.1", True),
        ("docker/locks/base.lock", "0" * 64, "2" * 64, True),
        ("patches/series/one.patch", "one", "1", True),
        ("patches/series/targets.json", f"after: {SUM}", f"after: {'b' * 64}", True),
        ("patches/series/targets.json", "pkg/a.py", "pkg/b.py", True),
        ("patches/series/series", "one.patch\ntwo.patch", "two.patch\none.patch", True),
        ("patches/series/series", "one.patch\n", "", True),
        ("docker/images.yaml", "A base.", "A better help.", False),
        ("docker/images.yaml", "libgl1, curl", "curl, libgl1", False),
        ("docker/images.yaml", "images:\n", "# a comment\nimages:\n", False),
        ("docker/locks/base.lock", "one==1.0", "# a comment\none==1.0", False),
        ("docker/locks/base.lock", "one==1.0", "# a comment that goes on \\\none==1.0", False),
        ("docker/locks/base.lock", "1" * 64 + "\n", "1" * 64 + "\n    # via two\n", False),
        ("docker/locks/more.lock", "one==1.0", "one==1.1", False),
        ("patches/series/series", "# in order\n", "", False),
    ],
)
def test_what_an_image_is_made_of_is_its_identity(declared, file, old, new, counts):
    before = load(declared)["base"].identity
    replace(declared / file, old, new)
    assert (load(declared)["base"].identity != before) is counts


def test_the_order_of_a_lock_does_not_count(tmp_path):
    one, other = tmp_path / "one.lock", tmp_path / "other.lock"
    one.write_text("a==1 --hash=sha256:0 --hash=sha256:1\nb==2\n")
    other.write_text("b==2\n\na==1 \\\n  --hash=sha256:1 \\\n  --hash=sha256:0\n")
    assert lock_meaning(one) == lock_meaning(other) != []


def test_an_image_may_extend_another(declared):
    images = load(declared)
    assert images["more"].python == "3.11"
    assert images["more"].imports == ("json", "os")
    assert images["more"].patches == images["base"].patches
    assert images["more"].lock.name == "more.lock"


def test_a_variant_with_gpus_is_built_from_the_same_dockerfile_and_one_for_tests_is_not_built(declared):
    assert load(declared)["more"].build_files == []
    before = load(declared)["more"].identity
    replace(declared / "docker" / "images.yaml", "extends: base", "extends: base\n    gpus: all")
    variant = load(declared)["more"]
    assert variant.gpus
    assert variant.build_files == load(declared)["base"].build_files
    assert len({before, variant.identity, load(declared)["base"].identity}) == 2  # with the same lock, the same bits


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("schema: 1", "schema: 2", "schema"),
        ('python: "3.11"', "python: 3.11", "wrong type"),
        ('python: "3.11"', 'python: "3.11.4"', "not of the accepted form"),
        ('    python: "3.11"\n', "", "does not say its python"),
        ("    base: python:3.11-slim\n", "", "does not say its base"),
        ("    help: A base.\n", "", "help"),
        ("    env:", "    evn:", "did you mean 'env'?"),
        ('A: "1"', "A: 1", "wrong type"),
        ("extends: base", "extends: bsae", "did you mean 'base'?"),
        ("extends: base", "extends: more", "unknown image 'more'"),
        ("    help: A base.\n", "    help: A base.\n    gpus: all\n", "has gpus, but is no variant"),
        ("extends: base", "extends: base\n    gpus: 2", "gpus"),
        ("patches: series", "patches: serious", "there is no patch series 'serious'"),
    ],
)
def test_a_wrong_declaration_is_refused(declared, old, new, says):
    replace(declared / "docker" / "images.yaml", old, new)
    with pytest.raises(RequestError) as raised:
        load(declared)
    assert says in str(raised.value)
    assert str(declared) in raised.value.where


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("series", "one.patch", "oen.patch", "a patch of the series is missing"),
        ("targets.json", SUM, "b" * 63, "not of the accepted form"),
        ("targets.json", f", after: {SUM}", "", "something is missing"),
    ],
)
def test_a_wrong_series_is_refused(declared, file, old, new, says):
    replace(declared / "patches" / "series" / file, old, new)
    with pytest.raises(RequestError, match=says):
        load_series("series", declared / "patches")


def test_an_image_without_a_lock_has_no_identity(declared):
    (declared / "docker" / "locks" / "base.lock").unlink()
    with pytest.raises(ImageError, match="has no lock") as raised:
        _ = load(declared)["base"].identity
    assert "images.lock --image base" in raised.value.remedy


HASH = "    --hash=sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (LOCK, []),
        ("", []),
        ("# a comment\n\n" + LOCK, []),
        ("one[extra]==1.0rc1+cpu ; python_version < '3.8' \\\n" + HASH + "\n", []),
        ("one==1.0\n", ["one==1.0"]),
        ("one==1.0\ntwo==2.0 \\\n" + HASH + "\n", ["one==1.0"]),
        ("one>=1.0 \\\n" + HASH + "\n", ["one>=1.0 \\"]),
        ("one @ https://host.example/one.whl \\\n" + HASH + "\n", ["one @ https://host.example/one.whl \\"]),
        ("one @ file:///home/me/one.whl \\\n" + HASH + "\n", ["one @ file:///home/me/one.whl \\"]),
        ("./one.whl \\\n" + HASH + "\n", ["./one.whl \\"]),
        ("--index-url https://host.example/simple\n" + LOCK, ["--index-url https://host.example/simple"]),
        ("-e .\n", ["-e ."]),
        ("one==1.0 --hash=md5:0\n", ["one==1.0 --hash=md5:0"]),
    ],
)
def test_a_lock_holds_exact_versions_and_their_hashes_alone(text, wrong):
    assert unlocked(text) == wrong


OWN_LOCKS = sorted([*(PROJECT / "docker" / "locks").glob("*.lock"), PROJECT / "requirements.lock"])


@pytest.mark.parametrize("lock", OWN_LOCKS, ids=[path.name for path in OWN_LOCKS])
def test_the_projects_own_locks_name_hashes_and_no_address(lock):
    text = lock.read_text()
    assert unlocked(text) == []
    assert not re.search(r"https?:|file:", text)


def test_the_projects_own_images_load_and_have_locks():
    images = load_images()
    tools = {"patching"}  # what an image's build needs, and the image has not
    assert {path.stem for path in (PROJECT / "docker" / "locks").glob("*.lock")} - tools == set(images)
    assert len({image.identity for image in images.values()}) == len(images)
    for image in images.values():
        assert image.requirements.is_file()


OWN_DOCKERFILES = sorted((PROJECT / "docker").glob("*.Dockerfile"))


@pytest.mark.parametrize("dockerfile", OWN_DOCKERFILES, ids=[path.stem for path in OWN_DOCKERFILES])
def test_a_dockerfile_of_the_project_says_what_its_declaration_says(dockerfile):
    image = load_images()[dockerfile.stem]
    text = dockerfile.read_text().replace("install.sh $IMAGE", f"install.sh {image.name}")  # whose default it is: test_image_pins.py
    asked = [image.name, image.patches.name if image.patches else "", *image.sdists]
    if not image.sdists:
        asked = [part for part in asked if part]
    installed = re.findall(r"sh /docker/build/install\.sh ([^\\\n]*)", text)
    assert [shlex.split(line) for line in installed] == ([asked] if image.lock.stat().st_size else [])
    lines = re.findall(r"(?m)^ENV (.*)", text.replace("\\\n", " "))
    assert dict(part.split("=", 1) for line in lines for part in line.split() if not part.startswith("PATH=")) == image.env
