"""Damaged, truncated and hostile bundles: each is refused with a message, nothing is installed, and nothing outside is touched."""

import io
import os
import random
import shutil
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_bundle import FILES, FORMS, SmallBundle, sha256, tree

from edgemill.bundles import archive
from edgemill.bundles.archive import HEADER, header, padding
from edgemill.bundles.index import INDEX, index_bytes
from edgemill.bundles.install import install
from edgemill.bundles.source import opened
from edgemill.errors import BundleError

ARCHIVES = FORMS[1:]


@pytest.fixture(autouse=True)
def no_daemon(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")


def refused(place, target, **options):
    """Both verify and install refuse it; returns the error of the second."""
    with pytest.raises(BundleError), opened(place) as bundle:
        bundle.verify()
    before = tree(target.parent)
    with pytest.raises(BundleError) as error:
        install(place, target, say=lambda _line: None, **options)
    assert not os.path.lexists(target)
    assert tree(target.parent) == before
    return error.value


def compressed(place):
    """A .tar as .tar.zst."""
    if not shutil.which("zstd"):
        pytest.skip("there is no zstd program here")
    subprocess.run(["zstd", "-q", "-f", str(place), "-o", f"{place}.zst"], check=True)
    return place.with_name(place.name + ".zst")


def rewritten(place, change):
    """A .tar whose list of (TarInfo, content) `change` has changed, closed and padded as tar does it."""
    members = []
    with tarfile.open(place) as source:
        for member in source:
            content = source.extractfile(member)
            members.append((member, content.read() if content else b""))
    change(members)
    with tarfile.open(place, "w", format=tarfile.GNU_FORMAT) as target:
        for member, content in members:
            target.addfile(member, io.BytesIO(content))
    return place


def special(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, b""


def instead(number, info):
    def change(members):
        members[number] = info

    return change


def add(*infos):
    def change(members):
        members.extend(infos)

    return change


BLOB = "blobs/sha256/" + "0" * 64
HOSTILE = {
    "a link out in a blob's place": instead(-1, special(BLOB, tarfile.SYMTYPE, "/etc/passwd")),
    "a link out in the index's place": instead(0, special(INDEX, tarfile.SYMTYPE, "/etc/passwd")),
    "a hard link in a blob's place": instead(-1, special(BLOB, tarfile.LNKTYPE, "../../../etc/passwd")),
    "a device in a blob's place": instead(-1, special(BLOB, tarfile.BLKTYPE)),
    "a character device": instead(-1, special(BLOB, tarfile.CHRTYPE)),
    "a FIFO": instead(-1, special(BLOB, tarfile.FIFOTYPE)),
    "a folder": instead(-1, special(BLOB, tarfile.DIRTYPE)),
    "an extension header": instead(-1, special(BLOB, tarfile.XHDTYPE)),
    "a sparse file": instead(-1, special(BLOB, tarfile.GNUTYPE_SPARSE)),
    "a path that leads out": instead(-1, special("../../outside", tarfile.REGTYPE)),
    "an absolute path": instead(-1, special("/tmp/outside", tarfile.REGTYPE)),
    "one more file": add(special("more", tarfile.REGTYPE)),
    "one more link": add(special("more", tarfile.SYMTYPE, "/")),
    "a second index": add(special(INDEX, tarfile.REGTYPE)),
    "one file less": lambda members: members.pop(),
    "a blob twice": lambda members: members.append(members[-1]),
    "another order": lambda members: members.reverse(),
    "blobs in another order": lambda members: members.insert(4, members.pop()),
    "no signature's place": lambda members: members.pop(1),
    "another owner": lambda members: setattr(members[-1][0], "uid", 1000),
    "a mode that sets the user": lambda members: setattr(members[-1][0], "mode", 0o4755),
}


@pytest.mark.parametrize("form", ARCHIVES)
@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_an_archive_that_is_not_exactly_what_its_index_says_is_refused(tmp_path, change, form):
    place = rewritten(SmallBundle(images=["train"]).write(tmp_path / "b.tar"), change)
    refused(compressed(place) if form.endswith("zst") else place, tmp_path / "far" / "side")


def test_one_that_tar_wrote_anew_from_the_same_files_is_refused_and_says_why(tmp_path):
    folder = SmallBundle().write(tmp_path / "b")
    subprocess.run(["tar", "-cf", str(tmp_path / "b.tar"), "-C", str(folder), "."], check=True)
    error = refused(tmp_path / "b.tar", tmp_path / "far")
    assert "bundle.create made" in error.expected


def link_out(folder):
    file = next(path for path in (folder / "blobs" / "sha256").iterdir() if path.stat().st_size == len(FILES["mill"]))
    outside = folder.parent / "outside"
    file.rename(outside)
    file.symlink_to(outside)


def blobs_elsewhere(folder):
    (folder / "blobs").rename(folder.parent / "elsewhere")
    (folder / "blobs").symlink_to(folder.parent / "elsewhere")


def fifo(folder):
    (folder / "README.txt").unlink()
    os.mkfifo(folder / "README.txt")


def in_blob(change):
    def make(folder):
        change(max((folder / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size))

    return make


WRONG_FOLDERS = {
    "one more file": lambda folder: (folder / "more").touch(),
    "one more hidden file": lambda folder: (folder / "blobs" / "sha256" / ".more").touch(),
    "one more folder": lambda folder: (folder / "more").mkdir(),
    "one more link": lambda folder: (folder / "more").symlink_to("/"),
    "a file between the blobs": lambda folder: (folder / "blobs" / "more").touch(),
    "a folder between the blobs": lambda folder: (folder / "blobs" / "sha256" / "more").mkdir(),
    "a blob that is a link out": link_out,
    "blobs that are elsewhere": blobs_elsewhere,
    "a FIFO in a file's place": fifo,
    "a file less": lambda folder: (folder / "README.txt").unlink(),
    "no blobs": lambda folder: shutil.rmtree(folder / "blobs"),
    "a blob cut short": in_blob(lambda path: os.truncate(path, 3)),
    "a blob made longer": in_blob(lambda path: path.open("ab").write(b"more")),
    "an index cut short": lambda folder: os.truncate(folder / INDEX, 100),
    "an index that is a link": lambda folder: (
        (folder / INDEX).rename(folder.parent / "i"),
        (folder / INDEX).symlink_to(folder.parent / "i"),
    ),
    "no index": lambda folder: (folder / INDEX).unlink(),
    "an endless index": lambda folder: os.truncate(folder / INDEX, 1 << 33),
    "a signature that is too long": lambda folder: (folder / f"{INDEX}.sig").write_bytes(b"x" * 100_000),
}


@pytest.mark.parametrize("change", WRONG_FOLDERS.values(), ids=WRONG_FOLDERS)
def test_a_folder_that_is_not_exactly_what_its_index_says_is_refused(tmp_path, change):
    place = SmallBundle(images=["train"]).write(tmp_path / "b" / "b")
    change(place)
    refused(place, tmp_path / "far" / "side")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["mill", ".whl", "layer", "oci-layout", "index.json", "install.pyz"])
def test_one_flipped_bit_is_found_and_named(tmp_path, form, kind):
    bundle = SmallBundle(images=["train"])
    place = bundle.write(tmp_path / f"b{'.tar' if form else ''}")
    content = bundle.members.get(kind) or next((part for name, part in FILES.items() if name.endswith(kind)), b"layer of train")
    name = kind if kind in bundle.members else f"blobs/sha256/{sha256(content)}"
    file, at = place / name, 0
    if form:
        with tarfile.open(place) as members:
            file, at = place, members.getmember(name).offset_data
    whole = bytearray(file.read_bytes())
    whole[at] ^= 1
    file.write_bytes(whole)
    error = refused(compressed(place) if form.endswith("zst") else place, tmp_path / "far")
    assert (name in error.where, error.expected) == (True, sha256(content))


@pytest.mark.parametrize("form", FORMS[1:])
def test_an_archive_cut_short_anywhere_is_refused(tmp_path, form):
    place = SmallBundle(images=["train"]).write(tmp_path / f"b{form}")
    whole = place.read_bytes()
    step = 512 if form == ".tar" else 97
    for size in {*range(0, len(whole), step * 7), len(whole) - 1, len(whole) - HEADER}:
        place.write_bytes(whole[:size])
        refused(place, tmp_path / "far")


@pytest.mark.parametrize("form", FORMS[1:])
def test_bytes_after_the_end_are_refused(tmp_path, form):
    place = SmallBundle().write(tmp_path / f"b{form}")
    for more in (b"x", bytes(512), bytes(10240), place.read_bytes()):
        whole = place.read_bytes()
        place.write_bytes(whole + more)
        refused(place, tmp_path / "far")
        place.write_bytes(whole)


@given(st.data())
def test_an_archive_with_any_damage_is_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    place = SmallBundle(images=["train"]).write(folder / "b.tar")
    whole = bytearray(place.read_bytes())
    sound = bytes(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        what = data.draw(st.sampled_from(["flip", "cut", "insert", "zero"]))
        if what == "flip":
            whole[at] ^= data.draw(st.integers(1, 255))
        elif what == "cut":
            del whole[at : at + data.draw(st.integers(1, 2000))]
        elif what == "insert":
            whole[at:at] = data.draw(st.binary(min_size=1, max_size=600))
        else:
            whole[at : at + 512] = bytes(len(whole[at : at + 512]))
        if not whole:
            break
    place.write_bytes(whole)
    if bytes(whole) != sound:
        refused(place, folder / "far")
    shutil.rmtree(folder)


class TestBombs:
    """What is small on the way and endless when it is read."""

    def bomb(self, place, head):
        """A .tar.zst that begins with `head` and goes on with zeros: far more than anybody has memory or disk for."""
        if not shutil.which("zstd"):
            pytest.skip("there is no zstd program here")
        process = subprocess.Popen(["zstd", "-q", "-1", "-o", str(place)], stdin=subprocess.PIPE)
        process.stdin.write(head)
        for _ in range(64):
            process.stdin.write(bytes(1 << 20))
        process.stdin.close()
        process.wait()
        frame = place.read_bytes()
        zeros = subprocess.run(["zstd", "-q", "-1"], input=bytes(64 << 20), capture_output=True, check=True).stdout
        place.write_bytes(frame + zeros * 200)  # frames follow each other: 13 GB in about 1.2 MB
        assert place.stat().st_size < 4 << 20
        return place

    def limited(self, tmp_path, place):
        """Verify and install with 1 GiB of memory."""
        program = (
            "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30));"
            "from edgemill.bundles.program import main; sys.exit(main(sys.argv[1:]))"
        )
        for arguments in (["verify", str(place)], ["install", str(place), "--to", str(tmp_path / "far")]):
            done = subprocess.run([os.sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 1, done.stderr
            assert done.stderr.startswith("error: ")
        assert [path.name for path in tmp_path.iterdir()] == [place.name]
        return done.stderr

    def test_an_endless_index(self, tmp_path):
        assert "there is no bundle" in self.limited(tmp_path, self.bomb(tmp_path / "b.tar.zst", header(INDEX, (1 << 33) - 1)))

    def test_an_endless_signature(self, tmp_path):
        head = header(INDEX, 2) + b"{}".ljust(512, b"\0") + header(f"{INDEX}.sig", (1 << 33) - 1)
        assert "there is no bundle" in self.limited(tmp_path, self.bomb(tmp_path / "b.tar.zst", head))

    def test_an_endless_end(self, tmp_path):
        whole = SmallBundle().write(tmp_path.parent / f"{tmp_path.name}.tar").read_bytes()
        assert "damaged" in self.limited(tmp_path, self.bomb(tmp_path / "b.tar.zst", whole))

    @pytest.mark.parametrize("form", ["", ".tar.zst"])
    def test_more_than_the_disk_holds(self, tmp_path, form):
        """An index that promises 170 TB: the free space is asked for before anything is written."""
        document = SmallBundle().document()
        promised = [{"sha256": f"{number:064x}", "size": (1 << 33) - 1} for number in range(20000)]
        document["blobs"] = sorted([*document["blobs"], *promised], key=lambda entry: entry["sha256"])
        document["files"] += [{"path": f"more/{number}", **entry, "executable": False} for number, entry in enumerate(promised)]
        content = index_bytes(document)
        place = tmp_path / f"b{form}"
        if form:
            self.bomb(place, header(INDEX, len(content)) + content + bytes(padding(len(content))) + header(f"{INDEX}.sig", 0))
        else:
            SmallBundle().write(place)
            (place / INDEX).write_bytes(content)
            for entry in promised:
                (place / "blobs" / "sha256" / entry["sha256"]).touch()
        with pytest.raises(BundleError, match="too little space"):
            install(place, tmp_path / "far", say=lambda _line: None)
        assert not (tmp_path / "far").exists()


@pytest.mark.parametrize("form", FORMS)
def test_a_bundle_for_another_machine_is_refused(tmp_path, form):
    bundle = SmallBundle()
    place = bundle.write(tmp_path / f"b{form}", lambda document: document.update(architecture="s390x"))
    with pytest.raises(BundleError, match="for another machine") as error:
        install(place, tmp_path / "far", say=lambda _line: None)
    assert error.value.found == "s390x"
    assert not (tmp_path / "far").exists()


@pytest.mark.parametrize("form", FORMS)
def test_an_image_for_another_machine_is_refused(tmp_path, form):
    bundle = SmallBundle()
    bundle.add_image("train", machine="s390x")
    error = refused(bundle.write(tmp_path / f"b{form}"), tmp_path / "far")
    assert "'s390x'" in error.found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lie", ["fewer layers", "more layers", "another config"])
def test_an_image_that_is_not_what_the_index_says_is_refused(tmp_path, form, lie):
    bundle = SmallBundle(images=["train", "data"])

    def change(document):
        train, data = document["images"]
        if lie == "fewer layers":
            gone = next(entry for entry in train["blobs"] if entry["sha256"] == sha256(b"layer of train"))
            train["blobs"].remove(gone)
            document["blobs"].remove(gone)
        elif lie == "more layers":
            train["blobs"].append(next(entry for entry in data["blobs"] if entry["sha256"] == sha256(b"layer of data")))
        else:
            train["config"] = sha256(b"shared layer")

    refused(bundle.write(tmp_path / f"b{form}", change), tmp_path / "far")


@pytest.mark.parametrize("form", FORMS)
def test_an_image_layout_that_shows_others_something_else_is_refused(tmp_path, form, monkeypatch):
    """Another tool would read index.json and not bundle.json: the two must agree."""
    bundle, other = SmallBundle(images=["train"]), SmallBundle(images=["data"])
    members = {**bundle.members, "index.json": other.members["index.json"]}
    monkeypatch.setattr(SmallBundle, "members", members)
    error = refused(bundle.write(tmp_path / f"b{form}"), tmp_path / "far")
    assert "index.json" in error.where


def test_zstd_that_is_not_there_is_named(tmp_path, monkeypatch):
    place = SmallBundle().write(tmp_path / "b.tar.zst") if shutil.which("zstd") else None
    if place is None:
        pytest.skip("there is no zstd program here")
    monkeypatch.setattr(archive.shutil, "which", lambda _name: None)
    error = refused(place, tmp_path / "far")
    assert "no zstd program" in error.what


@pytest.mark.parametrize("content", [b"", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", bytes(10240), random.Random(0).randbytes(20000)])
def test_what_is_no_bundle_is_refused(tmp_path, content):
    (tmp_path / "b.tar").write_bytes(content)
    refused(tmp_path / "b.tar", tmp_path / "far")


@pytest.mark.parametrize("place", ["nowhere", "folder", "fifo"])
def test_a_place_without_a_bundle_is_refused(tmp_path, place):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(BundleError):
        install(tmp_path / place, tmp_path / "far", say=lambda _line: None)
    assert not (tmp_path / "far").exists()
