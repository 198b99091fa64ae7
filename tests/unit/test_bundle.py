"""A bundle from its making to the installed folder, as a folder, a .tar and a .tar.zst."""

import ast
import json
import os
import shutil
import subprocess
import sys

import pytest
from small_bundle import FILES, FORMS, KEY, SmallBundle, tree

from edgemill import wheels
from edgemill.bundles import carried as carried_module
from edgemill.bundles.carried import carried
from edgemill.bundles.index import INDEX, parse_index
from edgemill.bundles.install import install
from edgemill.bundles.program import verify
from edgemill.bundles.signature import sign
from edgemill.bundles.source import opened
from edgemill.bundles.write import FAR_SIDE, program_bytes
from edgemill.errors import BundleError


@pytest.fixture(autouse=True)
def no_daemon(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")


@pytest.fixture(params=FORMS, ids=["folder", "tar", "zst"])
def form(request):
    if request.param.endswith("zst") and not shutil.which("zstd"):
        pytest.skip("there is no zstd program here")
    return request.param


def quiet(_line):
    """Say nothing."""


def installed(place, target, **options):
    install(place, target, say=quiet, **options)
    return target


def test_what_is_installed_is_what_went_in(tmp_path, form):
    target = installed(SmallBundle().write(tmp_path / f"b{form}"), tmp_path / "far" / "side")
    found = tree(target)
    for path, content in FILES.items():
        mode = 0o755 if path == "mill" else 0o444 if path.startswith("workspace/") else 0o644
        assert found[path] == (content, mode)
    extra = {"bundled/bundle.json", "bundled/data.json", "bundled/pythons", ".envs/wheels/wheels.json", ".envs/wheels/offline"}
    assert found.keys() - FILES.keys() == extra | {"workspace/pipelines/demo/read"}
    assert (target / "workspace" / "pipelines" / "demo" / "read" / "words.txt").read_bytes() == b"one two"
    assert os.stat(target / "workspace" / "artifacts" / "read" / KEY).st_mode & 0o777 == 0o555
    assert os.stat(target).st_mode & 0o777 == 0o755
    assert [path.name for path in target.parent.iterdir()] == ["side"]


def test_verify_reads_every_form(tmp_path, form, capsys):
    place = SmallBundle(images=["data", "train"]).write(tmp_path / f"b{form}")
    verify(place)
    said = capsys.readouterr().out
    for part in ("data, train", "wheels: 1 files", "data: 2 files", "not signed", "everything is as its index says", "3.11"):
        assert part in said


def test_the_same_contents_give_the_same_bytes(tmp_path, form):
    one, two = (SmallBundle(images=["data"]).write(tmp_path / f"{name}{form}") for name in "ab")
    if form:
        assert one.read_bytes() == two.read_bytes()
    else:
        assert tree(one) == tree(two)


def test_what_two_files_or_images_share_is_held_once(tmp_path):
    with opened(SmallBundle(images=["data", "train"]).write(tmp_path / "b")) as bundle:
        assert len(bundle.index.blobs) == len({blob.sha256 for blob in bundle.index.blobs})
        shared = set(bundle.index.images[0].blobs) & set(bundle.index.images[1].blobs)
    assert [blob.size for blob in shared] == [len(b"shared layer")]
    assert len(list((tmp_path / "b" / "blobs" / "sha256").iterdir())) == 6 + 3 + 3 + 1  # files (two alike), two images, what they share


def test_a_folder_is_an_oci_image_layout(tmp_path):
    """From its index.json every image can be reached by digest, by tools that know nothing of EdgeMill."""
    place = SmallBundle(images=["data", "train"]).write(tmp_path / "b")
    assert json.loads((place / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    names = set()
    for described in json.loads((place / "index.json").read_bytes())["manifests"]:
        names.add(described["annotations"]["org.opencontainers.image.ref.name"])
        manifest = json.loads((place / "blobs" / described["digest"].replace(":", "/")).read_bytes())
        for part in (described, manifest["config"], *manifest["layers"]):
            assert (place / "blobs" / part["digest"].replace(":", "/")).stat().st_size == part["size"]
    assert names == {"data", "train"}


def test_the_wheelhouse_is_one_that_edgemill_reads_and_that_keeps_off_the_network(tmp_path, monkeypatch):
    target = installed(SmallBundle().write(tmp_path / "b"), tmp_path / "far")
    monkeypatch.setenv("EDGEMILL_WHEELS", str(target / ".envs" / "wheels"))
    assert wheels.is_offline()
    with opened(tmp_path / "b") as bundle:
        sha256 = next(file.sha256 for file in bundle.index.files if file.path.endswith(".whl"))
    (tmp_path / "lock").write_text(f"one==1.0 --hash=sha256:{sha256}\n")
    assert wheels.lacking(tmp_path / "lock") == []


@pytest.mark.parametrize("asked", ["relative", "absolute", "unknown"])
def test_a_pipeline_finds_the_data_that_came_with_the_bundle(tmp_path, monkeypatch, asked):
    def absolute(document):
        document["data"] = [{"path": "/data/cards", "place": "bundled/data/cards"}]

    target = installed(SmallBundle().write(tmp_path / "b", absolute if asked == "absolute" else None), tmp_path / "far" / "project")
    monkeypatch.setattr(carried_module, "PROJECT", target)
    monkeypatch.setattr(carried_module, "PLACES", target / "bundled" / "data.json")
    place = {"relative": str(tmp_path / "far" / "cards"), "absolute": "/data/cards", "unknown": "/data/coins"}[asked]
    assert carried(place) == (None if asked == "unknown" else str(target / "bundled" / "data" / "cards"))


@pytest.mark.parametrize("make", [lambda target: None, lambda target: target.mkdir(parents=True)], ids=["absent", "empty"])
def test_the_target_may_be_absent_or_empty(tmp_path, make):
    make(tmp_path / "far")
    assert (installed(SmallBundle().write(tmp_path / "b"), tmp_path / "far") / "mill").is_file()


def test_a_target_that_holds_anything_is_left_alone(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "mine").write_text("mine")
    with pytest.raises(BundleError, match="something in the target's place"):
        installed(SmallBundle().write(tmp_path / "b"), tmp_path / "far")
    assert tree(tmp_path / "far") == {"mine": (b"mine", (tmp_path / "far" / "mine").stat().st_mode & 0o777)}


def test_installing_the_same_again_changes_nothing(tmp_path):
    place = SmallBundle().write(tmp_path / "b.tar")
    target = installed(place, tmp_path / "far")
    (target / "mill").write_text("edited")
    installed(place, target)
    assert (target / "mill").read_text() == "edited"


class TestDelta:
    @pytest.fixture
    def base(self, tmp_path, form):
        return SmallBundle(images=["data"]).write(tmp_path / f"base{form}")

    @pytest.fixture
    def delta(self, tmp_path, base, form):
        changed = SmallBundle({**FILES, "docs/new.md": b"new"}, images=["data"])
        with opened(base) as bundle:
            return changed.since(bundle.content).write(tmp_path / f"delta{form}")

    def test_it_holds_only_what_the_base_lacks(self, delta):
        with opened(delta) as bundle:
            assert [blob.size for blob in bundle.index.blobs] == [len(b"new")]
            bundle.verify()

    def test_it_is_installed_from_the_bases_bundle(self, tmp_path, base, delta):
        target = installed(delta, tmp_path / "far", bases=[base])
        assert (target / "docs" / "new.md").read_bytes() == b"new"
        assert (target / "mill").read_bytes() == FILES["mill"]

    def test_it_is_installed_from_where_the_base_is_installed(self, tmp_path, base, delta):
        old = installed(base, tmp_path / "old")
        target = installed(delta, tmp_path / "far", bases=[old])
        assert tree(target).keys() == tree(old).keys() | {"docs/new.md"}

    def test_without_its_base_it_is_refused(self, tmp_path, base, delta):
        for bases in ([], [SmallBundle({"mill": b"another"}).write(tmp_path / "another")]):
            with pytest.raises(BundleError, match="needs that one") as refused:
                installed(delta, tmp_path / "far", bases=bases)
            with opened(base) as bundle:
                assert bundle.index.digest in refused.value.expected
            assert not (tmp_path / "far").exists()

    def test_an_installed_base_that_was_edited_is_refused(self, tmp_path, base, delta):
        old = installed(base, tmp_path / "old")
        (old / "mill").write_bytes(FILES["mill"].replace(b"mill", b"MILL"))
        with pytest.raises(BundleError, match="not as it was installed"):
            installed(delta, tmp_path / "far", bases=[old])
        assert not (tmp_path / "far").exists()

    def test_a_delta_of_a_delta_takes_from_both(self, tmp_path, base, delta, form):
        last = SmallBundle({**FILES, "docs/new.md": b"new", "docs/newer.md": b"newer"}, images=["data"])
        with opened(delta) as bundle:
            place = last.since(bundle.content).write(tmp_path / f"last{form}")
        with pytest.raises(BundleError, match="neither the bundle nor its base"):
            installed(place, tmp_path / "far", bases=[delta])
        assert (installed(place, tmp_path / "far", bases=[delta, base]) / "docs" / "newer.md").read_bytes() == b"newer"


class TestSignature:
    @pytest.fixture
    def keys(self, tmp_path):
        if not shutil.which("ssh-keygen"):
            pytest.skip("there is no ssh-keygen here")
        for name in ("mine", "theirs"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(tmp_path / name)], check=True)
        (tmp_path / "signers").write_text(f'me@here namespaces="edgemill" {(tmp_path / "mine.pub").read_text()}')
        return tmp_path

    def signed(self, keys, form, key="mine", namespace=None):
        place = keys / "index" / INDEX
        place.parent.mkdir()
        with opened(SmallBundle().write(keys / "plain")) as bundle:
            place.write_bytes(bundle.content)
        if namespace:
            subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", str(keys / key), "-n", namespace, str(place)], check=True)
        else:
            sign(place, keys / key)
        return SmallBundle().write(keys / f"b{form}", signature=place.with_name(f"{INDEX}.sig").read_bytes())

    def test_an_allowed_signer_is_named(self, keys, form, capsys):
        place = self.signed(keys, form)
        verify(place, keys / "signers")
        assert "signed by me@here" in capsys.readouterr().out
        assert (installed(place, keys / "far", signers=keys / "signers") / "bundled" / "bundle.json.sig").is_file()

    def test_without_a_list_of_signers_nothing_is_claimed(self, keys, form, capsys):
        verify(self.signed(keys, form))
        assert "was not checked" in capsys.readouterr().out

    @pytest.mark.parametrize(("key", "namespace"), [("theirs", None), ("mine", "file")])
    def test_another_key_or_purpose_is_refused(self, keys, form, key, namespace):
        with pytest.raises(BundleError, match="not one of the allowed signers'"):
            installed(self.signed(keys, form, key, namespace), keys / "far", signers=keys / "signers")
        assert not (keys / "far").exists()

    def test_an_index_that_was_changed_after_it_was_signed_is_refused(self, keys, form):
        signature = self.signed(keys, "").joinpath(f"{INDEX}.sig").read_bytes()
        place = SmallBundle().write(keys / f"other{form}", lambda document: document.update(pipelines=["other"]), signature=signature)
        with pytest.raises(BundleError, match="not one of the allowed signers'"):
            installed(place, keys / "far", signers=keys / "signers")

    def test_an_unsigned_bundle_is_refused_where_signers_are_named(self, keys, form):
        with pytest.raises(BundleError, match="not signed"):
            installed(SmallBundle().write(keys / f"u{form}"), keys / "far", signers=keys / "signers")

    def test_what_is_no_signature_is_refused(self, keys, form):
        with pytest.raises(BundleError, match="not one of the allowed signers'"):
            verify(SmallBundle().write(keys / f"u{form}", signature=b"nonsense"), keys / "signers")


class TestProgram:
    """install.pyz, as it runs on the far side."""

    def run(self, program, *arguments, **options):
        command = [sys.executable, "-I", "-S", str(program), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)

    def test_it_needs_nothing_but_the_standard_library(self):
        for name in FAR_SIDE:
            with open(os.path.join(os.path.dirname(wheels.__file__), os.pardir, name), encoding="utf-8") as stream:
                module = ast.parse(stream.read())
            for node in ast.walk(module):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
                for imported in names:
                    own = {path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in FAR_SIDE}
                    assert imported in own or imported.split(".")[0] in sys.stdlib_module_names, f"{name} imports {imported}"

    def test_the_same_modules_give_the_same_program(self):
        assert program_bytes() == program_bytes()

    def test_it_installs_the_folder_that_it_lies_in(self, tmp_path):
        place = SmallBundle().write(tmp_path / "b")
        done = self.run(place / "install.pyz", "install", "--to", tmp_path / "far")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"cd {tmp_path / 'far'} && ./mill doctor" in done.stdout
        assert (tmp_path / "far" / "mill").is_file()
        assert not list(place.rglob("__pycache__"))

    def test_it_verifies_an_archive(self, tmp_path, form):
        (tmp_path / "install.pyz").write_bytes(program_bytes())
        done = self.run(tmp_path / "install.pyz", "verify", SmallBundle().write(tmp_path / f"b{form}"))
        assert (done.returncode, done.stderr) == (0, "")
        assert "everything is as its index says" in done.stdout

    def test_a_refused_bundle_is_one_message(self, tmp_path):
        (tmp_path / "install.pyz").write_bytes(program_bytes())
        (tmp_path / "b.tar").write_bytes(b"nonsense" * 1000)
        done = self.run(tmp_path / "install.pyz", "install", tmp_path / "b.tar", "--to", tmp_path / "far")
        assert done.returncode == 1
        assert done.stderr.startswith("error: there is no bundle\n")
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "far").exists()


def test_the_index_comes_back_as_it_was_written(tmp_path):
    small = SmallBundle(images=["data"])
    place = small.write(tmp_path / "b")
    index = parse_index((place / INDEX).read_bytes(), "b")
    assert {file.path for file in index.files} == set(FILES)
    assert json.loads((place / INDEX).read_bytes()) == small.document()
    assert index.images[0].tag == f"edgemill/data:{index.images[0].identity[:16]}"
