"""Archives of images, as newer and older daemons give them, become the same kind of image in a bundle."""

import io
import json
import tarfile

import pytest
from fake_daemon import FakeDaemon
from small_bundle import sha256

from edgemill.bundles.daemon import Daemon
from edgemill.bundles.images import MANIFEST_TYPE
from edgemill.bundles.saved_images import save_images
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


def older(layers):
    """As Docker 20: a folder for each layer, and links where one comes again."""
    legacy = [{"Config": f"{ID[7:]}.json", "RepoTags": None, "Layers": [f"{number}/layer.tar" for number in range(len(layers))]}]
    members = [(f"{number}/layer.tar", layer if number < 2 else "../0/layer.tar") for number, layer in enumerate(layers)]
    return tar([*members, (f"{ID[7:]}.json", CONFIG), ("manifest.json", json.dumps(legacy).encode())])


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """saved(ARCHIVE) takes an image out of a daemon that gives this archive."""
    place = tmp_path / "d.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place}")
    daemon = FakeDaemon(place)
    (tmp_path / "spool").mkdir()

    def save(archive, name=ID):
        daemon.images[name] = archive
        record = {"schema": 1, "image": "train", "identity": Declared.identity, "id": name}
        (image,) = save_images(Daemon(), [(Declared, record)], tmp_path / "spool")
        return image

    save.spool, save.daemon = tmp_path / "spool", daemon
    yield save
    daemon.stop()


def test_an_image_whose_id_is_its_manifest_keeps_it(saved):
    """As in containerd's image store."""
    name = f"sha256:{sha256(manifest())}"
    image = saved(newer(), name)
    assert (image.manifest, image.config, image.id) == (sha256(manifest()), sha256(CONFIG), name)
    assert {blob.sha256 for blob in image.blobs} == {sha256(part) for part in (manifest(), CONFIG, *LAYERS)}


@pytest.mark.parametrize("described", [True, False])
def test_an_image_whose_id_is_its_config_gets_the_same_manifest_whatever_the_archive_describes(saved, described):
    """As in Docker's own image store, which describes one of several images."""
    image = saved(newer() if described else newer(manifests=[]))
    made = json.loads((saved.spool / image.manifest).read_bytes())
    assert (made["config"]["digest"], image.id) == (ID, ID)
    assert [layer["digest"] for layer in made["layers"]] == [f"sha256:{sha256(layer)}" for layer in LAYERS]
    assert image == saved(newer())


def test_an_older_archive_gives_the_same(saved):
    image = saved(older(LAYERS))
    assert image == saved(newer())
    repeated = saved(older((*LAYERS, LAYERS[0])))
    made = json.loads((saved.spool / repeated.manifest).read_bytes())
    assert [layer["digest"] for layer in made["layers"]] == [f"sha256:{sha256(layer)}" for layer in (*LAYERS, LAYERS[0])]
    assert len(repeated.blobs) == len(image.blobs)


@pytest.mark.parametrize(
    ("archive", "says"),
    [
        (newer(leave_out=[manifest()]), "lacks a part"),
        (newer(manifests=[entry(b"1", MANIFEST_TYPE), entry(b"2", MANIFEST_TYPE)]), "lacks a part"),
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
        save_images(Daemon(), [(Declared, record)], saved.spool)
    assert error.value.remedy == "./mill images.build --image train"
