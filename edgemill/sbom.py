"""Bills of materials: what an image is made of, in CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json).

A bill follows from the image's declaration and lock, and from what is handed in: the same of these gives the same bytes. So it has no
time stamp, and its serial number is derived from its content.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cyclonedx.model import AttachedText, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType, Diff, Patch, PatchClassification, Pedigree
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from edgemill import VERSION
from edgemill.errors import ImageError
from edgemill.hashing import digest_of, sha256_file
from edgemill.images import Image, PatchSeries
from edgemill.requirements import Pin, pins

# What a built image is asked, with its shell: its packages, its system, its Python, and the packages that this brings (pip among them).
QUESTION = r"""
set -e
dpkg-query --show --showformat 'deb\t${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\n'
. /etc/os-release
printf 'system\t%s\t%s\n' "$ID" "$VERSION_CODENAME"
python3 -c 'import platform; print("python\t" + platform.python_version())'
for path in /usr/local/lib/python3*/site-packages/*.dist-info; do
    if [ -d "$path" ]; then printf 'wheel\t%s\n' "$(basename "$path" .dist-info)"; fi
done
"""
SERIAL = uuid.uuid5(uuid.NAMESPACE_URL, "urn:edgemill:sbom")


@dataclass(frozen=True)
class Deb:
    """An installed Debian package."""

    name: str
    version: str
    architecture: str


@dataclass(frozen=True)
class Contents:
    """What a built image holds besides its environment; `system` and `codename` as in `debian`, `bookworm`; `python` its exact version.

    `wheels` are name and version of the Python packages outside the environment. `image_id` is the image's ID; `stand_in` that of the
    site's own image on which it was built instead of the pinned base.
    """

    debs: Sequence[Deb]
    wheels: Sequence[tuple[str, str]]
    system: str
    codename: str
    python: str
    image_id: str
    stand_in: str | None = None


def answer(text: str, image_id: str, stand_in: str | None = None) -> Contents:
    """What a built image said to QUESTION. Raises ImageError where that is no answer."""
    debs: list[Deb] = []
    wheels: list[tuple[str, str]] = []
    told: dict[str, str] = {}
    for line in text.splitlines():
        match line.split("\t"):
            case ["deb", status, name, version, architecture]:
                if status == "installed":  # of others only the settings are left
                    debs.append(Deb(name, version, architecture))
            case ["system", system, codename]:
                told |= {"system": system, "codename": codename}
            case ["python", python]:
                told["python"] = python
            case ["wheel", wheel] if "-" in wheel:
                name, _, version = wheel.rpartition("-")
                wheels.append((name, version))
            case _:
                raise _no_answer(image_id, line)
    if not debs or len(told) < 3:
        raise _no_answer(image_id, "; ".join([f"{len(debs)} packages", *told]))
    return Contents(debs, wheels, image_id=image_id, stand_in=stand_in, **told)


def _no_answer(image_id: str, found: str) -> ImageError:
    return ImageError("the image does not say what it holds", where=image_id, expected="its packages, its system, its Python", found=found)


def bill(image: Image, *, wheels: Mapping[str, str] | None = None, contents: Contents | None = None) -> bytes:
    """The image's bill of materials, as JSON.

    `wheels` maps the names of the wheels that its environment is made from to their sha256, where they are at hand: a lock allows
    several files for a package, and only the wheels tell which one it is. `contents` is what the built image said, where there is
    one: only it knows the packages of the base.

    Raises:
        ImageError: the image has no lock.
    """
    subject = _subject(image, contents)
    system = _system(contents) if contents else _named(image.system_packages)
    parts = [*_packages(image, wheels or {}), _python(image, contents), _base(image, contents), *system, *_vendors(image)]
    tool = Component(type=ComponentType.APPLICATION, name="edgemill", version=VERSION, bom_ref="edgemill")
    metadata = BomMetaData(component=subject, tools=ToolRepository(components=[tool]))
    bom = Bom(serial_number=SERIAL, metadata=metadata, components=parts)
    bom.register_dependency(subject, parts)
    told = json.loads(JsonV1Dot6(bom).output_as_string())
    del told["metadata"]["timestamp"]
    told["serialNumber"] = uuid.uuid5(SERIAL, digest_of(told)).urn
    return json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _subject(image: Image, contents: Contents | None) -> Component:
    """The image itself; with the pedigree of its patches where they do not say what package they change."""
    facts = {
        "identity": image.identity,
        "lock:sha256": sha256_file(image.lock),
        "image-id": contents.image_id if contents else None,
        "system-packages": "as the built image lists them" if contents else "not listed: only a built image knows those of its base",
    }
    return Component(
        type=ComponentType.CONTAINER,
        name=f"edgemill/{image.name}",
        version=image.identity[:16],
        description=image.help,
        bom_ref=f"edgemill/{image.name}@{image.identity[:16]}",
        properties=_properties(facts),
        pedigree=_pedigree(image.patches) if image.patches and not image.patches.package else None,
    )


def _packages(image: Image, wheels: Mapping[str, str]) -> Iterator[Component]:
    """The Python packages of the lock; the patched one with its pedigree."""
    series = image.patches
    for pin in pins(image.lock):
        name = canonicalize_name(pin.requirement.name)
        purl = PackageURL("pypi", name=name, version=pin.version)
        patched = series if series and series.package and canonicalize_name(series.package) == name else None
        yield Component(
            name=name,
            version=pin.version,
            purl=purl,
            bom_ref=purl.to_string(),
            hashes=_hashes(_installed(pin, wheels)),
            pedigree=_pedigree(patched) if patched else None,
            properties=_properties({f"patched:{path}:sha256": after for path, (_, after) in patched.targets.items()} if patched else {}),
        )


def _installed(pin: Pin, wheels: Mapping[str, str]) -> str | None:
    """The sha256 of the file that a package was installed from, where only one can be meant."""
    found = pin.sha256 if len(pin.sha256) == 1 else pin.sha256.intersection(wheels.values())
    return next(iter(found)) if len(found) == 1 else None


def _pedigree(series: PatchSeries) -> Pedigree:
    """The patches, whole, in the order in which they are applied."""
    patches = [
        Patch(
            type=PatchClassification.UNOFFICIAL,
            diff=Diff(
                url=XsUri(f"patches/{series.name}/{path.name}"),
                text=AttachedText(content=path.read_text(encoding="utf-8"), content_type="text/x-diff"),
            ),
        )
        for path in series.patches
    ]
    return Pedigree(patches=patches, notes="\n".join(f"{sha256_file(path)}  {path.name}" for path in series.patches))


def _python(image: Image, contents: Contents | None) -> Component:
    version = contents.python if contents else image.python
    purl = PackageURL("generic", name="python", version=version)
    return Component(type=ComponentType.PLATFORM, name="python", version=version, purl=purl, bom_ref=purl.to_string())


def _base(image: Image, contents: Contents | None) -> Component:
    """The public image that it starts from, or that it would where this site's own stands in for it."""
    stand_in = contents.stand_in if contents else None
    digest = None if stand_in else image.base_digest
    *folders, last = image.base.split("/")
    name, _, tag = last.partition(":")
    purl = PackageURL("docker", namespace="/".join(folders) or None, name=name, version=digest or tag or None)
    return Component(
        type=ComponentType.CONTAINER,
        name="/".join([*folders, name]),
        version=tag or None,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=_hashes(digest.removeprefix("sha256:") if digest else None),
        properties=_properties({"stand-in": stand_in}),
    )


def _system(contents: Contents) -> Iterator[Component]:
    """The packages that the system's package manager lists, and the Python packages beside its Python."""
    for deb in contents.debs:
        where = {"arch": deb.architecture, "distro": contents.codename}
        purl = PackageURL("deb", namespace=contents.system, name=deb.name, version=deb.version, qualifiers=where)
        yield Component(name=deb.name, version=deb.version, purl=purl, bom_ref=purl.to_string())
    for name, version in contents.wheels:
        purl = PackageURL("pypi", name=canonicalize_name(name), version=version)
        # Not the environment's own, where that has the same one.
        yield Component(name=canonicalize_name(name), version=version, purl=purl, bom_ref=f"base/{purl.to_string()}")


def _named(packages: Iterable[str]) -> Iterator[Component]:
    """The system packages that the image declares, whose versions only a built image knows."""
    for name in packages:
        purl = PackageURL("deb", namespace="debian", name=name)
        yield Component(name=name, purl=purl, bom_ref=purl.to_string())


def _vendors(image: Image) -> Iterator[Component]:
    """What comes from neither the index nor the system: vendors' Debian packages (NAME_VERSION_ARCHITECTURE.deb), and their programs."""
    for file, sha256 in image.debs.items():
        name, version, architecture = (*file.removesuffix(".deb").split("_", 2), "", "")[:3]
        purl = PackageURL("deb", name=name, version=version or None, qualifiers={"arch": architecture} if architecture else None)
        yield Component(name=name, version=version or None, purl=purl, bom_ref=purl.to_string(), hashes=_hashes(sha256))
    for name, version in image.tools.items():
        purl = PackageURL("generic", name=name, version=version)
        yield Component(type=ComponentType.APPLICATION, name=name, version=version, purl=purl, bom_ref=purl.to_string())


def _hashes(sha256: str | None) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else []


def _properties(facts: Mapping[str, str | None]) -> list[Property]:
    return [Property(name=f"edgemill:{name}", value=value) for name, value in facts.items() if value]
