"""Two runs at once on one workspace."""

from mini import flip_byte, in_child, only, processes_in, wait_until


def test_a_stage_runs_once_and_both_end_well(mini):
    settings = ("--set", "read.seconds=1")
    processes = [mini.start("build", "-p", "chain", *settings) for _ in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0], mini.output
    assert mini.tally == {"read": 1, "shout": 1, "act": 1, "page": 1}
    assert len(list(mini.workspace.artifacts.glob("*/*"))) == 4
    assert "waiting for the run" in mini.output
    assert processes_in(mini.workspace) == []


def test_who_waits_goes_on_where_the_other_is_killed(mini):
    first = mini.start("build", "-p", "act", "--set", "read.seconds=30")
    wait_until(lambda: mini.tally["read"], "the first run's stage")
    second = mini.start("build", "-p", "act", "--set", "read.seconds=30")
    wait_until(lambda: "waiting for the run" in mini.output, "the second run")
    first.kill()
    first.wait()
    try:
        wait_until(lambda: mini.tally["read"] == 2, "the second run's stage")
    finally:
        second.kill()
        second.wait()
    wait_until(lambda: processes_in(mini.workspace) == [], "the end of all processes")


def test_who_waits_goes_on_where_the_other_fails(mini):
    first = mini.start("build", "-p", "act", "--set", "act.do=fail_once")
    wait_until(lambda: mini.tally["act"], "the first run's stage")
    second = mini.start("build", "-p", "act", "--set", "act.do=fail_once")
    wait_until(lambda: "waiting for the run" in mini.output, "the second run")
    (mini.root / "go").touch()
    assert (first.wait(90), second.wait(90)) == (1, 0), mini.output
    assert mini.tally["act"] == 2


def test_two_runs_that_find_the_same_damage_repair_it_once(mini):
    """The second must not set aside what the first has made again."""
    mini.build("act")
    shared = only(list(mini.workspace.artifacts.glob("read/*")))
    for _ in range(3):
        flip_byte(shared / "text.txt", 3)
        before = mini.tally
        processes = [mini.start("build", "-p", "act", "--verify", "--set", "act.do=warnings") for _ in range(2)]
        assert [process.wait(120) for process in processes] == [0, 0], mini.output
        assert (mini.tally - before)["read"] == 1
        assert mini.workspace.find("read", shared.name, verify=True)


def test_an_input_that_another_run_has_made_again_is_not_set_aside(mini, monkeypatch):
    """Between the look at a damaged input and the lock of its key, another run repairs it."""
    from edgemill.build import Build

    mini.build("act")
    shared = only(list(mini.workspace.artifacts.glob("read/*")))
    flip_byte(shared / "text.txt", 3)
    real = Build.retire
    made = []

    def retire(self, artifact, record):
        if not made:
            assert in_child(lambda: mini.build("act", verify=True)) == 0
            made.append(shared.stat().st_ino)
        real(self, artifact, record)

    monkeypatch.setattr(Build, "retire", retire)
    mini.build("act", "act.do=warnings")
    assert [shared.stat().st_ino] == made
    assert mini.tally["read"] == 2


def test_different_keys_do_not_wait_for_each_other(mini):
    first = mini.start("build", "-p", "act", "--set", "act.do=sleep")
    try:
        wait_until(lambda: mini.tally["act"], "the first run's stage")
        assert in_child(lambda: mini.build("act", "act.do=warnings")) == 0
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
