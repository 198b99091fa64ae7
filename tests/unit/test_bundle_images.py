"""Archives of images, as newer and older daemons give them, become the same kind of image in a bundle."""

import io
import json
import tarfile

import pytest
from fake_daemon import FakeDaemon
from small_bundle import sha256

from edgemill.bundles.daemon import Daemon
from edgemill.bundles.images import MANIFEST_TYPE
from edgemill.bundles.saved_images import save_image
from edgemill.errors import BundleError

LAYERS = (b"first layer", b"second layer")
CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}).encode()
ID = f"sha256:{sha256(CONFIG)}"


class Declared:
    """As much of an image's declaration as is asked for."""

    name = "train"
    identity = "ab" * 32


def tar(members):
    """An archive of (name, bytes), or (name, link target) for links."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def entry(content, kind="application/octet-stream"):
    return {"mediaType": kind, "digest": f"sha256:{sha256(content)}", "size": len(content)}


def manifest(layers=LAYERS, config=CONFIG):
    return json.dumps({"schemaVersion": 2, "config": entry(config), "layers": [entry(layer) for layer in layers]}).encode()


def newer(manifests=None, config=CONFIG, leave_out=()):
    """As Docker 25 and newer: an OCI layout, with manifest.json beside it."""
    described = manifest(config=config)
    blobs = [part for part in (described, config, *LAYERS) if part not in leave_out]
    index = {"schemaVersion": 2, "manifests": [entry(described, MANIFEST_TYPE)] if manifests is None else manifests}
    legacy = [{"Config": f"blobs/sha256/{sha256(config)}", "Layers": [f"blobs/sha256/{sha256(layer)}" for layer in LAYERS]}]
    return tar(
        [(f"blobs/sha256/{sha256(part)}", part) for part in blobs]
        + [("index.json", json.dumps(index).encode()), ("manifest.json", json.dumps(legacy).encode()), ("oci-layout", b"{}")]
    )


def older():
    """As Docker 20: a folder for each layer, one of which may be a link to another's."""
    legacy = [{"Config": f"{ID[7:]}.json", "RepoTags": None, "Layers": ["one/layer.tar", "two/layer.tar", "three/layer.tar"]}]
    return tar(
        [
            ("one/layer.tar", LAYERS[0]),
            ("two/layer.tar", LAYERS[1]),
            ("three/layer.tar", "../one/layer.tar"),
            (f"{ID[7:]}.json", CONFIG),
            ("manifest.json", json.dumps(legacy).encode()),
        ]
    )


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """saved(ARCHIVE) takes an image out of a daemon that gives this archive."""
    place = tmp_path / "d.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place}")
    daemon = FakeDaemon(place)
    (tmp_path / "spool").mkdir()

    def save(archive):
        daemon.images[ID] = archive
        record = {"schema": 1, "image": "train", "identity": Declared.identity, "id": ID}
        return save_image(Daemon(), Declared, record, tmp_path / "spool")

    save.spool, save.daemon = tmp_path / "spool", daemon
    yield save
    daemon.stop()


def test_an_oci_layout_keeps_its_manifest(saved):
    image = saved(newer())
    assert (image.manifest, image.config, image.id) == (sha256(manifest()), sha256(CONFIG), ID)
    assert {blob.sha256 for blob in image.blobs} == {sha256(part) for part in (manifest(), CONFIG, *LAYERS)}


def test_an_older_archive_gets_a_manifest_of_the_same_meaning(saved):
    image = saved(older())
    made = json.loads((saved.spool / image.manifest).read_bytes())
    assert made["config"]["digest"] == ID
    assert [layer["digest"] for layer in made["layers"]] == [f"sha256:{sha256(layer)}" for layer in (*LAYERS, LAYERS[0])]
    assert {blob.sha256 for blob in image.blobs} == {image.manifest, *(sha256(part) for part in (CONFIG, *LAYERS))}
    assert saved(older()) == image


@pytest.mark.parametrize(
    ("archive", "says"),
    [
        (newer(leave_out=[manifest()]), "lacks a part"),
        (newer(manifests=[entry(b"1", MANIFEST_TYPE), entry(b"2", MANIFEST_TYPE)]), "not one image"),
        (newer(manifests=[entry(manifest(), "application/vnd.oci.image.index.v1+json")]), "not one image"),
        (newer(config=CONFIG + b" "), "another image than was asked for"),
        (newer()[:2000], "broke off"),
        (tar([("unrelated", b"x")]), "lacks a part"),
        (tar([("manifest.json", b"[")]), "lacks a part"),
        (tar([("manifest.json", b'[{"Config": "a", "Layers": []}]'), ("a", "b"), ("b", "a")]), "lacks a part"),
    ],
)
def test_an_archive_that_is_not_the_image_is_refused(saved, archive, says):
    with pytest.raises(BundleError, match=says):
        saved(archive)


def test_an_image_that_the_daemon_no_longer_has_is_refused(saved):
    saved.daemon.images["sha256:" + "0" * 64] = b""
    record = {"schema": 1, "image": "train", "identity": Declared.identity, "id": "sha256:" + "1" * 64}
    with pytest.raises(BundleError, match="not in the Docker daemon") as error:
        save_image(Daemon(), Declared, record, saved.spool)
    assert error.value.remedy == "./mill images.build --image train"
