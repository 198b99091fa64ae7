"""What a stage may do, good and bad; a function of no other name than the parameter's value."""

import json
import os
import signal
import subprocess
import sys
import time

from _runtime import StageError, write_json

# A child that has left the stage's session; it says where it is, and keeps the descriptors that it was given.
DETACHED = "import os, sys, time; os.setsid(); open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(300)"


def well(task):
    source = task.input("text")
    words = (source.path / "text.txt").read_text(encoding="utf-8") if source is not None else "none"
    (task.output / "model.bin").write_bytes(b"\0\0\0\0MINI" + words.encode("utf-8").ljust(16, b"."))
    write_json(task.output / "info.json", {"schema": 1, "words": words})
    write_json(task.output / "notes.json", {"schema": 1, "time": time.time()})
    task.metrics["size"] = len(words)


def nothing(task):
    task.say("as if all were well")


def stub(task):
    well(task)
    (task.output / "model.bin").write_bytes(b"stub")


def empty(task):
    well(task)
    (task.output / "model.bin").write_bytes(b"")


def wrong_magic(task):
    well(task)
    (task.output / "model.bin").write_bytes(b"0123456789abcdef0123456789")


def broken_json(task):
    well(task)
    (task.output / "info.json").write_text('{"schema": 1, "words": ')


def deep_json(task):
    well(task)
    (task.output / "info.json").write_text("[" * 200_000)


def json_without_keys(task):
    well(task)
    write_json(task.output / "info.json", {"schema": 1})


def no_info(task):
    well(task)
    (task.output / "info.json").unlink()


def link(task):
    well(task)
    (task.output / "extra").symlink_to("/etc/hostname")


def folder_link(task):
    well(task)
    (task.output / "extra").symlink_to("/etc")


def fifo(task):
    well(task)
    os.mkfifo(str(task.output / "extra"))


def strange_name(task):
    well(task)
    with open(os.fsencode(str(task.output)) + b"/caf\xe9", "wb") as stream:
        stream.write(b"Latin-1")


def own_manifest(task):
    well(task)
    write_json(task.output / "manifest.json", {"key": "0" * 64})


def _without_runtime(task, result):
    well(task)
    task._result.write_text(result)
    sys.stdout.flush()
    os._exit(0)


def no_result(task):
    well(task)
    os._exit(0)


def result_is_a_list(task):
    _without_runtime(task, "[1]")


def result_with_nan(task):
    _without_runtime(task, '{"schema": 1, "error": null, "metrics": {"map": NaN}, "tools": {}, "warnings": []}')


def result_with_wrong_types(task):
    _without_runtime(task, '{"schema": 1, "error": null, "metrics": [1], "tools": "none", "warnings": 3}')


def result_with_text_as_error(task):
    _without_runtime(task, '{"schema": 1, "error": "no", "metrics": {}, "tools": {}, "warnings": []}')


def error_but_exit_0(task):
    _without_runtime(task, '{"schema": 1, "error": {"what": "it is wrong after all"}, "metrics": {}, "tools": {}, "warnings": []}')


def result_of_another_schema(task):
    _without_runtime(task, '{"schema": 99, "error": null, "metrics": {}, "tools": {}, "warnings": []}')


def result_that_is_deep(task):
    _without_runtime(task, "[" * 200_000)


def exit_3(task):
    well(task)
    print("the last words")
    sys.stdout.flush()
    os._exit(3)


def result_but_exit_3(task):
    well(task)
    task.finish()
    os._exit(3)


def stage_error(_task):
    raise StageError(
        "the third record is wrong",
        where="records.csv:3",
        expected="four fields",
        found="five fields",
        remedy="remove the comma in the fifth field",
    )


def fail_once(task):
    """The first time: waits for a word, then fails."""
    root = task.output.parents[4]
    if (root / "tally").read_text().split().count("act") == 1:
        while not (root / "go").exists():
            time.sleep(0.01)
        raise StageError("the first attempt fails")
    well(task)


def late_import(task):
    """Imports a module once it is told to."""
    while not (task.output.parents[4] / "go").exists():
        time.sleep(0.01)
    import late

    well(task)
    write_json(task.output / "info.json", {"schema": 1, "words": late.WORD})


def crash(_task):
    raise ZeroDivisionError("division by zero")


def kill_self(_task):
    print("before the end")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def long_line(task):
    os.write(1, b"x" * (1 << 20))
    well(task)


def odd_events(task):
    for event in (
        {"edgemill": "progress"},
        {"edgemill": "progress", "done": "many", "total": None, "values": [1, 2]},
        {"edgemill": "progress", "done": 1, "total": 2, "values": {"eta_s": "soon", "loss": {"a": 1}}},
        {"edgemill": "progress", "done": 1e400, "total": 2},
        {"edgemill": "message"},
        {"edgemill": 7},
        {"edgemill": "message", "level": ["warning"], "text": {"a": 1}},
        {"edgemill": "unknown"},
    ):
        os.write(1, (json.dumps(event) + "\n").encode())
    os.write(1, b'{"edgemill": ' + b"[" * 200_000 + b"\n")
    well(task)


def warnings(task):
    task.warn("the light was bad")
    well(task)


def environment(task):
    well(task)
    write_json(task.output / "notes.json", {"schema": 1, "environ": dict(os.environ), "cwd": os.getcwd()})


def sleep(task):
    task.say("sleeping")
    time.sleep(300)


def stubborn(task):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    task.say("sleeping")
    end = time.monotonic() + 300
    while time.monotonic() < end:
        time.sleep(1)


def polite(task):
    task.say("sleeping")
    try:
        time.sleep(300)
    finally:
        (task.output.parents[4] / "farewell").write_text("ended politely")


def _second_attempt(task):
    """Where the first attempt's child is there: behaves well, and says whether that child still runs beside it."""
    place = task.output.parents[4] / "detached"
    if not place.exists():
        return False
    well(task)
    try:
        with open(f"/proc/{place.read_text()}/stat") as stream:
            alone = stream.read().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        alone = True
    write_json(task.output / "info.json", {"schema": 1, "words": "alone" if alone else "not alone"})
    return True


def _detached(task, *keep):
    place = task.output.parents[4] / "detached"
    subprocess.Popen([sys.executable, "-c", DETACHED, str(place)], pass_fds=keep)
    while not (place.is_file() and place.read_text()):
        time.sleep(0.01)


def _lock_descriptors():
    return [int(name) for name in os.listdir("/proc/self/fd") if os.path.realpath("/proc/self/fd/" + name).endswith(".lock")]


def detached_then_well(task):
    _detached(task)
    well(task)


def detached_then_sleep(task):
    _detached(task, *_lock_descriptors())
    sleep(task)


def detached_once(task):
    """The same key again: behaves well where its child is already there."""
    if not _second_attempt(task):
        detached_then_sleep(task)


def stray_once(task):
    """Its child carries the mark, but not the lock."""
    if not _second_attempt(task):
        _detached(task)
        sleep(task)


def anonymous_once(task):
    if not _second_attempt(task):
        _anonymous_then_sleep(task)


def _anonymous_then_sleep(task):
    """Its child carries no mark, only the lock."""
    place = task.output.parents[4] / "detached"
    subprocess.Popen([sys.executable, "-c", DETACHED, str(place)], pass_fds=_lock_descriptors(), env={})
    while not (place.is_file() and place.read_text()):
        time.sleep(0.01)
    sleep(task)


def writes_on(task):
    """A detached child goes on changing the output after the stage has ended well."""
    well(task)
    program = (
        "import os, sys, time\nos.setsid()\nopen(sys.argv[2], 'w').write(str(os.getpid()))\nwhile True: open(sys.argv[1], 'ab').write(b'x')"
    )
    place = task.output.parents[4] / "detached"
    subprocess.Popen([sys.executable, "-c", program, str(task.output / "model.bin"), str(place)])
    while not (place.is_file() and place.read_text()):
        time.sleep(0.01)


def fill_disk(task):
    with (task.output / "model.bin").open("wb") as stream:
        while True:
            stream.write(b"x" * 65536)
            stream.flush()


def write_outside(task):
    """Tries to write everywhere but into its output; says where it could."""
    well(task)
    source = task.input("text")
    places = [
        source.path,
        task.output.parent / "source",
        task.output.parents[1],
        task.output.parents[4],
        "/",
        "/etc",
        "/usr/local",
        "/var/tmp",
    ]
    written = []
    for place in places:
        try:
            with open(os.path.join(str(place), "intruder"), "w") as stream:
                stream.write("here")
            written.append(str(place))
        except OSError:
            pass
    try:
        with open(str(task.output.parent / "task.json"), "a") as stream:
            stream.write(" ")
        written.append("task.json")
    except OSError:
        pass
    write_json(task.output / "notes.json", {"schema": 1, "written": written})


def reach_out(task):
    """Tries to reach the network; says what it could reach, and which interfaces there are."""
    import socket

    well(task)
    reached = []
    for address in (("192.0.2.1", 80), ("127.0.0.1", 22), ("169.254.169.254", 80)):
        try:
            socket.create_connection(address, timeout=2).close()
            reached.append(address[0])
        except OSError:
            pass
    try:
        socket.getaddrinfo("example.org", 80)
        reached.append("example.org")
    except OSError:
        pass
    write_json(
        task.output / "notes.json", {"schema": 1, "reached": reached, "interfaces": sorted(name for _, name in socket.if_nameindex())}
    )


def fork_without_end(task):
    """Forks until it cannot; its children wait. Says how many it got."""
    children = 0
    try:
        while children < 5000:
            if os.fork() == 0:
                time.sleep(300)
                os._exit(0)
            children += 1
    except OSError:
        pass
    well(task)
    write_json(task.output / "notes.json", {"schema": 1, "children": children})


def eat_memory(task):
    task.say("eating")
    kept = []
    while True:
        kept.append(b"x" * (1 << 24))


def eat_memory_in_a_child(task):
    """A child of it is killed for its appetite; it goes on."""
    child = os.fork()
    if child == 0:
        with open("/proc/self/oom_score_adj", "w") as stream:
            stream.write("1000")
        eat_memory(task)
    os.waitpid(child, 0)
    well(task)


def who_am_i(task):
    """Says what it may do, what it sees, and leaves files of every sort of mode."""
    well(task)
    with open("/proc/self/status") as stream:
        status = dict(line.split(":\t", 1) for line in stream.read().splitlines() if ":\t" in line)
    tries = {}
    for name, call in {
        "become root": lambda: os.setuid(0),
        "give away": lambda: os.chown(str(task.output / "model.bin"), 0, 0),
        "make a device": lambda: os.mknod(str(task.scratch / "null"), 0o20666, os.makedev(1, 3)),
    }.items():
        try:
            call()
            tries[name] = "done"
        except OSError:
            tries[name] = "refused"
    os.chmod(str(task.output / "info.json"), 0o600)
    notes = {
        "schema": 1,
        "uid": os.getuid(),
        "gid": os.getgid(),
        "capabilities": status["CapEff"].strip(),
        "no_new_privs": status["NoNewPrivs"].strip(),
        "tries": tries,
        "home": sorted(os.listdir("/home")),
        "environ": dict(os.environ),
    }
    write_json(task.output / "notes.json", notes)
