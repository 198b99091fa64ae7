"""Images in a bundle: an OCI image layout (https://github.com/opencontainers/image-spec, 1.1). Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from edgemill.bundles.index import IMAGES, LAYOUT, BundledImage, Index, blob_name, index_bytes, load_json
from edgemill.bundles.names import shown
from edgemill.errors import BundleError

LAYOUT_BYTES = b'{"imageLayoutVersion": "1.0.0"}\n'
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
MOST_JSON_BYTES = 4 << 20  # of a manifest or config; registries take no larger ones either

Small = Callable[[str], bytes | None]  # the bytes of one of the bundle's files, None where it is not in this bundle


def images_bytes(images: Sequence[BundledImage]) -> bytes:
    """The layout's `index.json`: the images by name, for every tool that reads such a layout."""
    manifests = [
        {
            "mediaType": MANIFEST_TYPE,
            "digest": f"sha256:{image.manifest}",
            "size": next(blob.size for blob in image.blobs if blob.sha256 == image.manifest),
            "annotations": {"org.opencontainers.image.ref.name": image.name, "io.containerd.image.name": f"docker.io/{image.tag}"},
        }
        for image in images
    ]
    return index_bytes({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests})


def kept_names(index: Index) -> Iterator[str]:
    """The files of a bundle that `check_layout` reads. Raises BundleError where one is too large for what it is."""
    small = {blob_name(sha256) for image in index.images for sha256 in (image.manifest, image.config)} | {LAYOUT, IMAGES}
    for name, blob in index.contents():
        if name in small:
            if blob.size > MOST_JSON_BYTES:
                raise BundleError(
                    "a part of the bundle is too large for what it is", where=name, expected=f"at most {MOST_JSON_BYTES} bytes"
                )
            yield name


def check_layout(index: Index, small: Small, where: str) -> None:
    """Compare a bundle's image layout and images with its index. Raises BundleError."""
    names = set(kept_names(index))
    wanted = {LAYOUT: LAYOUT_BYTES, IMAGES: images_bytes(index.images)} if index.images else {}
    for name in (LAYOUT, IMAGES):
        if (small(name) if name in names else None) != wanted.get(name):
            raise BundleError("the bundle's image layout is not what its index says", where=f"{where}: {name}")
    check_images(index, small, where)


def check_images(index: Index, small: Small, where: str) -> None:
    """Compare each image's manifest, config and layers with the index, as far as they can be had. Raises BundleError."""
    for image in index.images:
        manifest = small(blob_name(image.manifest))
        config = small(blob_name(image.config))
        if manifest is not None:
            _check_manifest(image, load_json(manifest, f"{where}: manifest of {image.name}"), where)
        if config is not None:
            _check_config(index, image, load_json(config, f"{where}: config of {image.name}"), where)


def layers(manifest: Any) -> list[str]:
    """The digests of a checked manifest's layers, in order, without `sha256:`."""
    return [layer["digest"].removeprefix("sha256:") for layer in manifest["layers"]]


def _check_manifest(image: BundledImage, manifest: Any, where: str) -> None:
    try:
        named = [manifest["config"], *manifest["layers"]]
        found = [(entry["digest"], entry["size"]) for entry in named]
        pairs, media = dict(found), manifest.get("mediaType", MANIFEST_TYPE)
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            "an image's manifest is not one", where=f"{where}: {image.name}", found=f"{type(error).__name__}: {error}"
        ) from None
    sizes = {f"sha256:{blob.sha256}": blob.size for blob in image.blobs if blob.sha256 != image.manifest}
    if found[0][0] != f"sha256:{image.config}" or media != MANIFEST_TYPE or pairs != sizes:
        raise BundleError("an image's manifest is not what the index says", where=f"{where}: {image.name}", found=shown(found))


def _check_config(index: Index, image: BundledImage, config: Any, where: str) -> None:
    built_for = (config.get("os"), config.get("architecture")) if isinstance(config, dict) else None
    if built_for != ("linux", index.architecture):
        raise BundleError(
            "an image is for another machine than the bundle says",
            where=f"{where}: {image.name}",
            expected=f"linux, {index.architecture}",
            found=shown(built_for),
        )
