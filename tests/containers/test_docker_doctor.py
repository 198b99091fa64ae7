"""`doctor` where stages run in containers: what it finds, and that it fails where something is missing."""

import json
import os

from docker_mini import BASE


def doctor(mini, *arguments, **env):
    return mini.mill("doctor", "-p", "act", "--engine", "docker", *arguments, env=env)


def test_it_says_what_was_chosen_and_why_and_what_there_is(mini):
    done = doctor(mini)
    assert done.returncode == 0, done.stderr
    parts = ("engine docker, because --engine says so", "Docker daemon", "BuildKit through buildx", "GiB free for Docker", "stages run as")
    for part in parts:
        assert part in done.stdout
    assert f"image host: will be built on the stand-in {BASE} from the wheelhouse" in done.stdout
    assert "ready without a network" in done.stdout
    assert ("because you are root" in done.stdout) == (os.getuid() == 0)


def test_a_built_image_is_named_with_its_id(mini):
    mini.build("act")
    assert "image host: built: sha256:" in doctor(mini).stdout


def test_missing_wheels_are_told_and_fatal_where_there_is_no_network(mini):
    (mini.root / "docker" / "locks" / "host.lock").write_text("no-such-wheel==1.0 --hash=sha256:" + "0" * 64 + "\n")
    mini.pin()
    done = doctor(mini)
    assert "not ready without a network: no wheels for host" in done.stdout
    done = doctor(mini, EDGEMILL_OFFLINE="1")
    assert done.returncode == 1
    assert "missing" in done.stdout


def test_no_daemon_is_fatal(mini, tmp_path):
    done = doctor(mini, DOCKER_HOST=f"unix://{tmp_path}/nobody.sock")
    assert done.returncode == 1
    assert "missing" in done.stdout
    assert "No such file or directory" in done.stdout


def test_a_broken_list_of_stand_ins_is_named(mini):
    (mini.root / "docker" / "stand-ins.yaml").write_text(json.dumps({"schema": 1, "stand_ins": {BASE: {"image": "x"}}}))
    done = doctor(mini)
    assert done.returncode in (1, 2)
    assert "stand-ins.yaml" in done.stdout + done.stderr


def test_the_images_commands(mini):
    done = mini.mill("images.stand-in", "--base", BASE, "--image", BASE, "--reason", "a test")
    assert done.returncode == 0, done.stderr
    assert json.loads((mini.root / "docker" / "stand-ins.yaml").read_text())["stand_ins"][BASE]["reason"] == "a test"
    done = mini.mill("images.stand-in", "--base", "python:2.7", "--image", BASE, "--reason", "a test")
    assert done.returncode == 2
    done = mini.mill("images.stand-in", "--base", BASE, "--image", "no/such:image", "--reason", "a test")
    assert done.returncode == 1
    assert "there is no such image" in done.stderr
    done = mini.mill("images.build", "--image", "host")
    assert done.returncode == 0, done.stderr
    assert "on the stand-in sha256:" in done.stdout
    done = mini.mill("images.verify", "--image", "host")
    assert done.returncode == 0, done.stderr
    assert "built twice, the same image: sha256:" in done.stdout
    done = mini.mill("images.build", "--image", "hots")
    assert done.returncode == 2
    assert "did you mean 'host'?" in done.stderr
