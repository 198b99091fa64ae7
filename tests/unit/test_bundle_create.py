"""Making bundles of a small project with the real command line: what goes in, and what is refused."""

import json
import shutil
import subprocess

import pytest
from mini import flip_byte
from small_bundle import tree
from wheels import make_sdist, make_setuptools, make_wheel

from edgemill.bundles.index import INDEX, parse_index
from edgemill.bundles.install import install

GIT = ("git", "-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")


def git(mini, *arguments):
    done = subprocess.run([*GIT, *arguments], cwd=mini.root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def project(mini, monkeypatch, tmp_path):
    """The small project in a git repository, with a wheelhouse; `make(ARGUMENTS)` runs bundle.create."""
    for name in ("EDGEMILL_WHEELS", "EDGEMILL_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    sha256 = make_wheel(mini.root / ".envs" / "wheels", "one")
    (mini.root / "requirements.lock").write_text(f"one==1.0 \\\n    --hash=sha256:{sha256}\n")
    (mini.root / ".gitignore").write_text("/.envs/\n/workspace/\n/tally\n/output\n__pycache__/\n")
    (mini.root / "mill").write_text("#!/bin/sh\n")
    (mini.root / "mill").chmod(0o755)
    git(mini, "init", "-q")
    git(mini, "add", ".")
    git(mini, "commit", "-q", "-m", "All of it")
    return mini


def make(mini, *arguments, form="", pipeline="chain", images=False, name="b"):
    """Run bundle.create; returns what was done and the place of the bundle."""
    place = mini.root.parent / f"{name}{form}"
    chosen = [*(("-p", pipeline) if pipeline else ()), *(() if images else ("--no-images",))]
    return mini.mill("bundle.create", "--to", str(place), *chosen, *arguments), place


def made(mini, *arguments, **options):
    done, place = make(mini, *arguments, **options)
    assert done.returncode == 0, done.stderr
    return place


def refused(mini, *arguments, **options):
    """The message of a bundle that is not made, and that leaves nothing."""
    before = {path.name for path in mini.root.parent.iterdir()}
    done, _ = make(mini, *arguments, **options)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert {path.name for path in mini.root.parent.iterdir()} == before
    return done.stderr


def index_of(place):
    return parse_index((place / INDEX).read_bytes(), str(place))


def far(mini, place, name="far"):
    install(place, mini.root.parent / name, say=lambda _line: None)
    return mini.root.parent / name


def test_the_project_goes_in_at_its_revision(project):
    place = made(project)
    index = index_of(place)
    assert (index.revision, index.dirty, index.pipelines) == (git(project, "rev-parse", "HEAD"), False, ("chain",))
    found = tree(far(project, place))
    for name in git(project, "ls-files").splitlines():
        mode = 0o755 if name == "mill" else 0o644
        assert found[name] == ((project.root / name).read_bytes(), mode)
    assert (project.root.parent / "far" / ".envs" / "wheels" / "one-1.0-py3-none-any.whl").is_file()
    assert not (project.root.parent / "far" / ".git").exists()


@pytest.mark.parametrize("named", [True, False])
def test_the_source_of_a_package_without_a_wheel_goes_in_where_the_image_names_it(project, named):
    house = project.root / ".envs" / "wheels"
    sums = {"two": make_sdist(house, "two"), "setuptools": make_setuptools(house)}
    lock = "".join(f"{name}==1.0 --hash=sha256:{digest}\n" for name, digest in sums.items())
    (project.root / "docker" / "locks" / "host.lock").write_text(lock)
    images = project.root / "docker" / "images.yaml"
    images.write_text(images.read_text().replace("    imports: [json]", f"    sdists: [{'two' if named else ''}]\n    imports: [json]"))
    git(project, "commit", "-qam", "A source")
    if not named:
        assert "two==1.0" in refused(project)
        return
    carried = far(project, made(project)) / ".envs" / "wheels"
    assert {path.name for path in carried.iterdir()} >= {"two-1.0.tar.gz", "setuptools-1.0-py3-none-any.whl"}


@pytest.mark.parametrize("form", ["", ".tar"])
def test_the_same_revision_gives_the_same_index(project, form):
    one, two = (made(project, form=form, name=name) for name in "ab")
    assert (one / INDEX).read_bytes() == (two / INDEX).read_bytes() if not form else one.read_bytes() == two.read_bytes()


def test_the_revision_counts_and_not_what_lies_there(project):
    """A file whose bytes git changes on checkout goes in as it was committed."""
    (project.root / ".gitattributes").write_text("*.txt text eol=crlf\n")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "Line ends")
    (project.root / "data" / "words.txt").unlink()
    git(project, "checkout", "-q", "data/words.txt")
    assert b"\r\n" in (project.root / "data" / "words.txt").read_bytes()
    assert b"\r\n" not in (far(project, made(project)) / "data" / "words.txt").read_bytes()


@pytest.mark.parametrize("change", ["edit", "new", "delete"])
def test_a_changed_project_is_refused_unless_it_is_asked_for(project, change):
    if change == "edit":
        (project.root / "data" / "words.txt").write_text("other words")
    elif change == "new":
        (project.root / "notes").write_text("mine")
    else:
        (project.root / "mill").unlink()
    message = refused(project)
    assert "changes that are in no revision" in message
    assert {"edit": "words.txt", "new": "notes", "delete": "mill"}[change] in message
    place = made(project, "--dirty")
    assert index_of(place).dirty
    found = tree(far(project, place))
    assert ("mill" in found, "notes" in found) == (change != "delete", change == "new")
    assert found["data/words.txt"][0] == (project.root / "data" / "words.txt").read_bytes()


@pytest.mark.parametrize("dirty", [False, True])
def test_a_link_in_the_project_is_refused(project, dirty):
    (project.root / "link").symlink_to("/etc/passwd")
    if not dirty:
        git(project, "add", ".")
        git(project, "commit", "-q", "-m", "A link")
    assert "a bundle cannot carry" in refused(project, *(["--dirty"] if dirty else []))


def test_without_git_it_is_refused(project):
    subprocess.run(["rm", "-rf", str(project.root / ".git")], check=True)
    assert "git cannot read the project" in refused(project)


def test_an_ignored_pipeline_is_refused(project):
    project.write_pipeline("schema: 1\nstages: {read: {params: {path: ../data/words.txt}}}\n", "private")
    with (project.root / ".gitignore").open("a") as stream:
        stream.write("/pipelines/private.yaml\n")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "Ignored")
    assert "not a file of the project" in refused(project, pipeline="private")


def test_an_unknown_pipeline_or_image_is_refused(project):
    assert "did you mean 'chain'" in refused(project, pipeline="chian")
    assert "did you mean 'host'" in refused(project, "--image", "hots", images=True)
    assert "both asked for and left out" in refused(project, "--image", "host")


def test_an_image_that_is_not_built_is_refused(project):
    message = refused(project, images=True)
    assert "is not built" in message
    assert "./mill images.build --image" in message
    assert "--no-images" in message


@pytest.mark.parametrize("fault", ["empty", "missing", "other"])
def test_a_wheel_that_is_missing_is_named(project, fault):
    wheel = project.root / ".envs" / "wheels" / "one-1.0-py3-none-any.whl"
    if fault == "other":
        flip_byte(wheel)
    else:
        wheel.unlink()
    if fault == "missing":
        make_wheel(wheel.parent, "two")
    message = refused(project)
    assert ("no wheelhouse" if fault == "empty" else "one==1.0") in message
    assert "./mill images.wheels" in message


def test_only_wheels_that_are_locked_go_in(project):
    make_wheel(project.root / ".envs" / "wheels", "stray")
    assert not [file for file in index_of(made(project)).files if "stray" in file.path]


@pytest.fixture
def outside(project):
    """A pipeline whose words lie outside the project, as a folder; built."""
    folder = project.root.parent / "my words"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("one")
    (folder / "sub" / "ü.txt").write_text("two")
    project.write_pipeline("schema: 1\nstages: {read: {params: {path: ../../my words}}}\n", "out")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "A pipeline")
    return folder


def test_data_outside_the_project_is_named_and_goes_in_when_it_is_asked_for(project, outside):
    done, place = make(project, pipeline="out")
    assert "data that is not carried (--data carries it): ../my words" in done.stdout
    assert not index_of(place).data
    place = made(project, "--data", pipeline="out", name="c")
    assert [(source.path, source.place) for source in index_of(place).data] == [("../my words", "bundled/data/my-words")]
    target = far(project, place)
    assert (target / "bundled" / "data" / "my-words" / "sub" / "ü.txt").read_text() == "two"


def test_so_does_each_path_of_a_list(project, outside):
    folder = project.stages / "listing"
    shutil.copytree(project.stages / "read", folder)
    contract = (folder / "stage.yaml").read_text()
    listed = "paths: {type: array, items: {type: string, format: path}, description: Files.}"
    (folder / "stage.yaml").write_text(contract.replace("path: {type: string, format: path, description: A file or folder.}", listed))
    project.write_pipeline(
        f"schema: 1\nstages: {{listing: {{params: {{paths: [../../my words/a.txt, '{outside / 'sub'}', ../data/words.txt]}}}}}}\n", "out"
    )
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "A list")
    carried = [(source.path, source.place) for source in index_of(made(project, "--data", pipeline="out")).data]
    assert carried == [("../my words/a.txt", "bundled/data/a.txt"), (str(outside / "sub"), "bundled/data/sub")]


@pytest.mark.parametrize("name", ["a\nb", "A.TXT"])
def test_data_that_cannot_be_carried_is_refused_with_its_name(project, outside, name):
    (outside / name).write_text("three")
    message = refused(project, "--data", pipeline="out")
    assert "refused" in message or "cannot lie beside each other" in message
    assert ascii(f"bundled/data/my-words/{name}") in message


@pytest.mark.parametrize("ignored", ["/words/\n", "/words/b.txt\n", ""])
def test_data_inside_the_project_goes_in_whole(project, ignored):
    """With the project where all of it is committed, as data where none is, and not where only a part is."""
    (project.root / "words").mkdir()
    for name in "ab":
        (project.root / "words" / f"{name}.txt").write_text(name)
    project.write_pipeline("schema: 1\nstages: {read: {params: {path: ../words}}}\n", "out")
    with (project.root / ".gitignore").open("a") as stream:
        stream.write(ignored)
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "Words")
    if ignored.endswith(".txt\n"):
        assert "a part is not" in refused(project, "--data", pipeline="out")
        return
    target = far(project, made(project, "--data", pipeline="out"))
    place = target / ("bundled/data/words" if ignored else "words")
    assert {path.name for path in place.iterdir()} == {"a.txt", "b.txt"}


def test_an_empty_folder_of_data_is_refused(project, outside):
    subprocess.run(["rm", "-r", str(outside)], check=True)
    outside.mkdir()
    assert "the folder is empty" in refused(project, "--data", pipeline="out")


def test_published_artifacts_go_in_and_are_found_on_the_far_side(project, outside):
    assert project.mill("build", "-p", "out", "--engine", "local").returncode == 0
    place = made(project, "--data", "--artifacts", pipeline="out")
    target = far(project, place)
    subprocess.run(["rm", "-r", str(outside)], check=True)
    project.root = target
    status = json.loads(project.mill("status", "-p", "out", "--engine", "local", "--json", env={"EDGEMILL_OFFLINE": "1"}).stdout)
    assert {name: step["state"] for name, step in status.items()} == {"read": "published"}
    assert (target / "workspace" / "pipelines" / "out" / "read" / "manifest.json").is_file()


def test_a_step_without_an_artifact_is_named(project):
    done, place = make(project, "--artifacts")
    assert "not published, so not carried: chain: read" in done.stdout
    assert not index_of(place).links


def test_a_damaged_artifact_is_refused(project):
    assert project.mill("build", "-p", "chain", "--engine", "local").returncode == 0
    victim = next(path for path in project.workspace.artifacts.glob("read/*/*") if path.name != "manifest.json")
    flip_byte(victim)
    assert "a published artifact is damaged" in refused(project, "--artifacts")


def test_a_delta_holds_only_what_is_new(project):
    base = made(project)
    (project.root / "data" / "words.txt").write_text("new words")
    git(project, "commit", "-q", "-a", "-m", "New words")
    for number, since in enumerate([base, base / INDEX, far(project, base)]):
        delta = made(project, "--since", str(since), name=f"delta{number}")
        with (delta / INDEX).open("rb") as stream:
            index = parse_index(stream.read(), "delta")
        assert index.base == index_of(base).digest
        assert [blob.size for blob in index.blobs] == [len("new words")]


def test_a_place_that_is_taken_is_left_alone(project):
    place = made(project)
    before = tree(place)
    assert "something in the bundle's place" in refused(project)
    assert tree(place) == before
