"""Container images: built from what is pinned and nothing else, recorded by ID, the same twice. All of it with a real daemon."""

import json
import os
import re
import shutil
import socket
import subprocess
import tarfile

import pytest
from docker_mini import BASE, DIGEST, docker
from mini import wait_until
from wheels import make_wheel

from edgemill import wheels as wheelhouse
from edgemill.engines import container_images, image_compare
from edgemill.engines.docker_engine import DockerEngine
from edgemill.errors import ImageError
from edgemill.image_pins import refresh, registry_digest

WITH_WHEELS = f"""\
FROM scratch AS wheels

FROM {BASE}@{DIGEST} AS build
ARG SOURCE_DATE_EPOCH
RUN --mount=type=bind,source=docker,target=/docker --mount=type=bind,source=patches,target=/patches \\
    --mount=type=bind,source=edgemill/engines/series.py,target=/series.py --mount=type=bind,from=wheels,target=/wheels \\
    sh /docker/build/install.sh host SERIES

FROM {BASE}@{DIGEST}
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH
ARG SOURCE REVISION VERSION IDENTITY
LABEL org.edgemill.image=host org.edgemill.identity=$IDENTITY org.opencontainers.image.revision=$REVISION
USER 65532:65532
"""


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def build(mini):
    engine = DockerEngine()
    engine.prepare(mini.image(), print)
    return container_images.recorded(mini.image())


@pytest.fixture
def equipped(mini, tmp_path, monkeypatch):
    """A project whose image has a wheel in it, from a wheelhouse; the wheelhouse is all there is."""
    from edgemill import PROJECT

    shutil.copytree(PROJECT / "docker" / "build", mini.root / "docker" / "build", dirs_exist_ok=True)
    (mini.root / "edgemill" / "engines").mkdir(parents=True)
    shutil.copy(PROJECT / "edgemill" / "engines" / "series.py", mini.root / "edgemill" / "engines")
    house = tmp_path / "house"
    sums = make_wheel(house, "alpha", files={"alpha.py": 'WORD = "as published"\n'})
    (house / wheelhouse.INDEX).write_text(json.dumps({"schema": 1, "wheels": {"alpha-1.0-py3-none-any.whl": sums}}))
    monkeypatch.setenv(wheelhouse.VARIABLE, str(house))
    (mini.root / "docker" / "locks" / "host.lock").write_text(f"alpha==1.0 --hash=sha256:{sums}\n")
    (mini.root / "docker" / "host.Dockerfile").write_text(WITH_WHEELS.replace(" SERIES", ""))
    mini.pin()
    return mini


def run_in(image_id, *command):
    return docker("run", "--rm", "--network", "none", image_id, *command).stdout.strip()


def test_an_image_is_built_once_and_recorded(mini):
    first = build(mini)
    said = []
    DockerEngine().prepare(mini.image(), said.append)
    assert said == []
    labels = json.loads(docker("image", "inspect", "-f", "{{json .Config.Labels}}", first.id).stdout)
    assert (labels["org.edgemill.image"], labels["org.edgemill.identity"]) == ("host", mini.image().identity)
    assert docker("image", "inspect", "-f", "{{.Config.User}}", first.id).stdout.strip() == "65532:65532"
    assert first.stand_in == json.loads((mini.root / "docker" / "stand-ins.yaml").read_text())["stand_ins"][BASE]["id"]


def test_wheels_come_from_the_wheelhouse_with_no_network(equipped):
    built = build(equipped)
    assert run_in(built.id, "python", "-c", "import alpha; print(alpha.WORD)") == "as published"
    assert run_in(built.id, "sh", "-c", "ls /wheels /docker 2>&1 | grep -c 'No such'") == "2"
    assert (
        run_in(built.id, "python", "-c", "import importlib.util as u; print(u.find_spec('pip'), u.find_spec('setuptools'))") == "None None"
    )


def test_a_dockerfile_builds_by_hand_with_nothing_but_what_it_says(equipped, tmp_path):
    """Plain BuildKit: no build argument; the base is the stand-in, because no registry has the one that the Dockerfile names."""
    command = ["buildx", "build", "--builder", "default", "--provenance", "false", "--load", "--iidfile", str(tmp_path / "id")]
    command += ["--build-context", f"wheels={tmp_path / 'house'}", "--build-context", f"{BASE}@{DIGEST}=docker-image://{BASE}"]
    docker(*command, "--file", str(equipped.root / "docker" / "host.Dockerfile"), str(equipped.root))
    assert run_in((tmp_path / "id").read_text(), "python", "-c", "import alpha; print(alpha.WORD)") == "as published"


def test_the_same_image_twice_from_nothing(equipped):
    built = build(equipped)
    assert image_compare.verify(DockerEngine(), equipped.image(), print) == built.id


def test_an_image_that_is_not_the_same_twice_is_told_with_the_first_path(equipped):
    edit(equipped.root / "docker" / "build" / "install.sh", "\nfind /venv -exec", "\ndate +%N >/venv/lib/now\nfind /venv -exec")
    with pytest.raises(ImageError, match="is not the same when it is built again") as raised:
        image_compare.verify(DockerEngine(), equipped.image(), print)
    assert raised.value.where == "/venv/lib/now"
    assert "size" in raised.value.expected


def test_a_patched_image(equipped):
    series = equipped.root / "patches" / "words"
    series.mkdir()
    (series / "series").write_text("word.patch\n")
    (series / "word.patch").write_text('--- a/alpha.py\n+++ b/alpha.py\n@@ -1 +1 @@\n-WORD = "as published"\n+WORD = "as patched"\n')
    sums = {
        "before": "0" * 64,
        "after": "0" * 64,
    }
    (series / "targets.json").write_text(json.dumps({"schema": 1, "targets": {"alpha.py": sums}}))
    (equipped.root / "docker" / "host.Dockerfile").write_text(WITH_WHEELS.replace(" SERIES", " words"))
    edit(equipped.root / "docker" / "images.yaml", "imports: [json]", "imports: [json]\n    patches: words")
    _wheel_of_patch_ng(equipped)
    equipped.pin()
    with pytest.raises(ImageError, match="could not be built") as raised:
        build(equipped)
    assert "a file to be patched is not the expected one" in raised.value.found
    before = re.search(r"found: +([0-9a-f]{64})", raised.value.found)[1]
    sums["before"] = before
    (series / "targets.json").write_text(json.dumps({"schema": 1, "targets": {"alpha.py": sums}}))
    with pytest.raises(ImageError, match="could not be built") as raised:
        build(equipped)
    assert "a patched file is not the expected one" in raised.value.found
    sums["after"] = re.search(r"found: +([0-9a-f]{64})", raised.value.found)[1]
    (series / "targets.json").write_text(json.dumps({"schema": 1, "targets": {"alpha.py": sums}}))
    assert run_in(build(equipped).id, "python", "-c", "import alpha; print(alpha.WORD)") == "as patched"


def _wheel_of_patch_ng(mini):
    """The host's own patch_ng as a wheel of the wheelhouse, so that the build needs no index."""
    import os
    from importlib.metadata import version
    from pathlib import Path

    import patch_ng

    house = Path(os.environ[wheelhouse.VARIABLE])
    sums = make_wheel(house, "patch_ng", version=version("patch-ng"), files={"patch_ng.py": Path(patch_ng.__file__).read_text()})
    lock = mini.root / "docker" / "locks" / "patching.lock"
    lock.write_text(f"patch-ng=={version('patch-ng')} --hash=sha256:{sums}\n")


def test_a_wheel_with_a_wrong_hash(equipped):
    lock = equipped.root / "docker" / "locks" / "host.lock"
    right = re.search("[0-9a-f]{64}", lock.read_text())[0]
    lock.write_text(lock.read_text().replace(right, "1" * 64))
    index = equipped.root.parent / "house" / wheelhouse.INDEX
    index.write_text(index.read_text().replace(right, "1" * 64))  # the wheelhouse claims to have it
    equipped.pin()
    with pytest.raises(ImageError, match="could not be built") as raised:
        build(equipped)
    assert "HASH" in raised.value.found.upper()
    assert container_images.recorded(equipped.image()) is None


def spoil_list(mini):
    (mini.root / "docker" / "locks" / "host.lock").write_text("alpha==1.0 --hash=sha256:" + "3" * 64 + "\n")


def spoil_base(mini):
    edit(mini.root / "docker" / "host.Dockerfile", DIGEST, "sha256:" + "1" * 64)


def unpin_base(mini):
    edit(mini.root / "docker" / "host.Dockerfile", "@" + DIGEST, "")


def forget_base(mini):
    lock = mini.root / "docker" / "images.lock"
    lock.write_text(re.sub(r"bases:\n.*\n", "bases: {}\n", lock.read_text()))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_list, "is not what images.lock pins"),
        (spoil_base, "starts from another base than images.lock pins"),
        (unpin_base, "starts from another base than images.lock pins"),
        (forget_base, "a base is not pinned"),
    ],
)
def test_what_is_not_as_pinned_is_not_built(mini, spoil, message):
    spoil(mini)
    with pytest.raises(ImageError, match=message) as raised:
        build(mini)
    assert "./mill images.lock" in raised.value.remedy


def test_a_base_that_cannot_be_had_names_the_ways_to_one(mini, monkeypatch):
    (mini.root / "docker" / "stand-ins.yaml").write_text('{"schema": 1, "stand_ins": {}}')
    with pytest.raises(ImageError, match="could not be built") as raised:
        build(mini)
    for way in ("EDGEMILL_BASES", "oci:FOLDER", "images.stand-in"):
        assert way in raised.value.remedy


def test_a_stand_in_that_was_moved_is_refused(mini):
    path = mini.root / "docker" / "stand-ins.yaml"
    edit(path, json.loads(path.read_text())["stand_ins"][BASE]["id"], "sha256:" + "2" * 64)
    with pytest.raises(ImageError, match="is not the recorded one"):
        build(mini)


def test_an_image_on_a_stand_in_does_not_pass_for_one_on_the_base(mini):
    assert build(mini) is not None
    (mini.root / "docker" / "stand-ins.yaml").write_text('{"schema": 1, "stand_ins": {}}')
    assert container_images.recorded(mini.image()) is None


def test_another_image_under_the_same_name_is_refused(mini):
    built = build(mini)
    tag = container_images.tag_of(mini.image())
    docker("tag", BASE, tag)
    try:
        with pytest.raises(ImageError, match="another image goes by the name") as raised:
            DockerEngine().prepare(mini.image(), print)
        assert raised.value.expected == built.id
    finally:
        docker("tag", built.id, tag)


def test_a_dockerfile_that_forgets_the_label_is_refused(mini):
    edit(mini.root / "docker" / "host.Dockerfile", "LABEL org.edgemill.image=host org.edgemill.identity=$IDENTITY\n", "")
    with pytest.raises(ImageError, match="has another identity"):
        build(mini)


def test_a_record_of_another_image_is_refused(mini):
    build(mini)
    record = container_images.record_path(mini.image())
    base = docker("image", "inspect", "-f", "{{.Id}}", BASE).stdout.strip()
    edit(record, container_images.recorded(mini.image()).id, base)
    docker("rmi", container_images.tag_of(mini.image()))
    with pytest.raises(ImageError, match="has another identity"):
        DockerEngine().prepare(mini.image(), print)


def test_a_recorded_image_that_the_daemon_lost_is_built_again(mini):
    built = build(mini)
    docker("rmi", "-f", built.id)
    assert build(mini).id == built.id


@pytest.fixture(scope="session")
def layout(tmp_path_factory):
    """The base as an OCI layout, as it comes from an archive, and the digest of its manifest."""
    folder = tmp_path_factory.mktemp("layout")
    archive = folder / "base.tar"
    docker("save", "-o", str(archive), BASE)
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    archive.unlink()
    return folder, json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]


def on_layout(mini, monkeypatch, folder, digest):
    """Pin the base to a digest and let it come from a layout; no stand-in."""
    (mini.root / "docker" / "stand-ins.yaml").write_text('{"schema": 1, "stand_ins": {}}')
    lock = mini.root / "docker" / "images.lock"
    lock.write_text(lock.read_text().replace(DIGEST, digest))
    dockerfile = mini.root / "docker" / "host.Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace(DIGEST, digest))
    monkeypatch.setenv("EDGEMILL_BASES", f"oci:{folder}")


def test_a_base_comes_from_a_layout_under_its_digest(mini, monkeypatch, layout):
    on_layout(mini, monkeypatch, *layout)
    built = build(mini)
    assert built.stand_in is None
    assert run_in(built.id, "python", "-c", "print(1)") == "1"


def test_a_layout_without_the_pinned_digest_is_refused(mini, monkeypatch, layout):
    on_layout(mini, monkeypatch, layout[0], "sha256:" + "4" * 64)
    with pytest.raises(ImageError, match="does not hold what is asked for"):
        build(mini)


def test_a_layout_that_was_tampered_with_is_refused(mini, monkeypatch, layout, tmp_path):
    folder, digest = layout
    copy = tmp_path / "tampered"
    shutil.copytree(folder, copy)
    manifest = copy / "blobs" / "sha256" / digest.removeprefix("sha256:")
    manifest.chmod(0o644)
    manifest.write_text(manifest.read_text() + " ")
    on_layout(mini, monkeypatch, copy, digest)
    with pytest.raises(ImageError, match="is not what its name says") as raised:
        build(mini)
    assert raised.value.where == str(manifest)


def test_gc_removes_images_that_are_no_longer_declared_so(mini):
    old = build(mini)
    edit(mini.root / "docker" / "images.yaml", "imports: [json]", "imports: [json]\n    env: {NEW: '1'}")
    new = build(mini)
    assert old.id != new.id
    mini.workspace.root.mkdir()
    assert f"({old.id[:19]})" in mini.mill("gc", "--dry-run").stderr
    done = mini.mill("gc")
    assert done.returncode == 0, done.stderr
    assert docker("image", "inspect", old.id, check=False).returncode != 0
    assert docker("image", "inspect", new.id, check=False).returncode == 0
    assert container_images.recorded(mini.image()) == new


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """A registry on loopback that has the base: its address, and the base's digest there."""
    program = os.environ.get("EDGEMILL_TEST_REGISTRY") or shutil.which("docker-registry")
    if program is None:
        missing = "there is no docker-registry (Debian's package of that name; EDGEMILL_TEST_REGISTRY names another one)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(folder / "data")}}, "http": {"addr": address}}
    (folder / "config.yml").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        name = f"{address}/{BASE}"
        docker("tag", BASE, name)
        wait_until(lambda: docker("push", "-q", name, check=False).returncode == 0, "the registry", 60)
        digests = docker("image", "inspect", "-f", "{{json .RepoDigests}}", name).stdout
        docker("rmi", name)
        yield address, re.search(rf"{re.escape(address)}/[^@]+@(sha256:[0-9a-f]{{64}})", digests)[1]
    finally:
        process.terminate()
        process.wait()


def test_a_mirror_tells_digests_and_gives_bases_under_them(mini, monkeypatch, registry):
    address, digest = registry
    monkeypatch.setenv("EDGEMILL_BASES", address)
    (mini.root / "docker" / "stand-ins.yaml").write_text('{"schema": 1, "stand_ins": {}}')
    changes = refresh([mini.image()], registry_digest, folder=mini.root / "docker")
    assert f"+  {BASE}: {digest}" in changes
    assert f"+FROM {BASE}@{digest}" in changes
    built = build(mini)
    assert built.stand_in is None
    assert run_in(built.id, "python", "-c", "print(1)") == "1"


def test_a_mirror_that_has_not_the_pinned_digest_gives_nothing(mini, monkeypatch, registry):
    monkeypatch.setenv("EDGEMILL_BASES", registry[0])
    (mini.root / "docker" / "stand-ins.yaml").write_text('{"schema": 1, "stand_ins": {}}')
    with pytest.raises(ImageError, match="could not be built") as raised:
        build(mini)
    assert "under the same digest" in raised.value.remedy


def test_a_registry_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("EDGEMILL_BASES", "127.0.0.1:9/nothing")
    with pytest.raises(ImageError, match="does not tell the base's digest") as raised:
        registry_digest(BASE)
    assert f"127.0.0.1:9/nothing/{BASE}" in raised.value.where
    assert "--offline" in raised.value.remedy
