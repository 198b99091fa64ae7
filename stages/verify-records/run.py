"""Read TFRecords as the Object Detection API would, and tell everything that is wrong in them.

Every record is read by a worker process once; what needs all of them (the same id twice, a label with two names) is compared here.
"""

from itertools import chain
from pathlib import Path
from typing import NamedTuple

from check_report import Problem, Problems, code_counts, table, verdict
from comparisons import Comparisons
from record_checks import check_record
from record_image import ERROR, WARNING
from shard_checks import check_index, check_names, check_sum, read_index

from _detection.record_folder import label_map_in, read_labels, record_files
from _detection.tfrecord_reader import payloads, ranges
from _detection.workers import ordered_map
from _runtime import StageError, atomic_write, run, write_json, write_text

SHOWN = 10  # errors in the message that ends the stage


class Work(NamedTuple):
    """Records for a worker. path, file: where, and its name in messages; spans: list of Span; labels: `Labels` or None."""

    path: str
    file: str
    spans: list
    labels: object


class Result(NamedTuple):
    """What became of a `Work`: problems; records that could be read; for each a (number, offset, Facts)."""

    problems: list
    facts: list


def main(task):
    """Write check.json, check.txt and problems.jsonl; raise StageError where there are errors."""
    if not task.params["path"]:
        raise StageError("there is nothing to check", "path", "a TFRecord file or a folder", None, "./mill data.verify PATH")
    place = Path(task.params["path"])
    paths = record_files(place)
    if not paths:
        raise StageError(
            "there are no TFRecord files",
            place,
            "*.record, *.tfrecord, *.tfrecords, with or without -00000-of-00010",
            ", ".join(sorted(entry.name for entry in place.iterdir())[:8]) or "nothing",
            "give the file itself, whatever its name",
        )
    with atomic_write(task.output / "problems.jsonl", "w") as stream:
        problems = Problems(stream)
        files, classes = check(task, place, paths, problems)
    report(task, files, classes, problems)
    if problems.count(ERROR):
        raise StageError(
            "the records have %d errors: %s" % (problems.count(ERROR), code_counts(problems.codes[ERROR])),
            place,
            "records that the Object Detection API reads",
            "\n".join(problem.told() for problem in problems.first_errors(SHOWN)),
            "all of them are in %s" % (task.output / "check.txt"),
        )


def check(task, place, paths, problems):
    """(files, classes) of the table; problems are added to `problems`."""
    root = place if place.is_dir() else place.parent
    labels = label_maps(task.params["label_map"], root, paths, place.is_dir(), problems)
    names = {path: path.relative_to(root).as_posix() for path in paths}
    entries, odd = read_index(place) if place.is_dir() else (None, [])
    odd += list(check_names(names.values())) if place.is_dir() else []
    for level, code, file, message in odd:
        problems.add(Problem(level, code, file, None, None, message))
    work, files = plan(paths, names, labels, problems)
    comparisons = Comparisons()
    total, done = sum(len(each.spans) for each in work), 0
    for each, result in zip(work, ordered_map(check_range, work, task.cpus, chunk=1), strict=True):
        for problem in chain(result.problems, comparisons.add(Path(each.path), each.file, result.facts)):
            problems.add(problem)
        row = files[each.file]
        row["records"] += len(result.facts)
        row["images"] += sum(facts.digest is not None for _, _, facts in result.facts)
        row["objects"] += sum(len(facts.objects) for _, _, facts in result.facts)
        done += len(each.spans)
        task.progress(done, total, "record")
    for problem in comparisons.ends():
        problems.add(problem)
    if entries is not None:
        compare_index(entries, files, place, problems, task.cpus)
    return list(files.values()), comparisons.classes()


def label_maps(named, root, paths, look, problems):
    """{path of a TFRecord file: its `Labels` or None}: the named label map's, else that of the file's folder, else of the root.

    look: whether to look for label maps beside the records.
    """
    read, chosen = {}, {}
    for path in paths:
        file = Path(named) if named else (label_map_in(path.parent) or label_map_in(root)) if look else None
        if file is not None and file not in read:
            read[file] = read_labels(file)
            for code, message, line in read[file].doubts:
                level = WARNING if code == "label-map-gap" else ERROR
                problems.add(Problem(level, code, file.name, None, None, message + ("" if line is None else " (line %d)" % line)))
        chosen[path] = None if file is None else read[file]
    return chosen


def plan(paths, names, labels, problems):
    """([Work], {file: its row of the table}), from the records' headers alone; damage that ends a file is told at once."""
    work, files = [], {}
    for path in paths:
        file = names[path]
        files[file] = {"file": file, "bytes": 0, "records": 0, "images": 0, "objects": 0}
        try:
            files[file]["bytes"] = path.stat().st_size
            groups, ends = ranges(path)
        except OSError as error:
            problems.add(Problem(ERROR, "file-unreadable", file, None, None, "it cannot be read: %s" % error.strerror))
            continue
        for end in ends:
            problems.add(Problem(ERROR, end.damage.code, file, end.number, end.offset, end.damage.message))
        if not groups and not ends:
            problems.add(Problem(WARNING, "file-empty", file, None, None, "the file holds no record"))
        work += [Work(str(path), file, group, labels[path]) for group in groups]
    return work, files


def check_range(work):
    """The Result of a Work."""
    problems, facts = [], []
    for span, payload, damage in payloads(work.path, work.spans):
        if damage is not None:
            problems.append(Problem(ERROR, damage.code, work.file, span.number, span.offset, damage.message))
        if payload is not None:
            found, told = check_record(payload, work.labels)
            problems += [Problem(level, code, work.file, span.number, span.offset, message) for level, code, message in found]
            facts.append((span.number, span.offset, told))
    return Result(problems, facts)


def compare_index(entries, files, folder, problems, cpus):
    """Compare records.json with what was found."""
    damaged = problems.files[ERROR]
    found = {file: (None if damaged[file] else row["records"], row["bytes"]) for file, row in files.items()}
    odd = list(check_index(entries, found, folder))
    sums = [
        (str(folder / file), file, entries[file])
        for file, row in files.items()
        if file in entries and entries[file]["bytes"] == row["bytes"]
    ]
    for level, code, file, message in chain(odd, *ordered_map(check_sum, sums, cpus, chunk=1)):
        problems.add(Problem(level, code, file, None, None, message))


def report(task, files, classes, problems):
    """check.json and check.txt, and the metrics."""
    lines = list(table(files, classes, problems))
    write_text(task.output / "check.txt", "\n".join(lines) + "\n")
    counts = {level: dict(codes) for level, codes in problems.codes.items()}
    write_json(task.output / "check.json", {"schema": 1, "files": files, "classes": classes, "counts": counts})
    task.metrics.update(
        records=sum(row["records"] for row in files),
        objects=sum(row["objects"] for row in files),
        errors=problems.count(ERROR),
        warnings=problems.count(WARNING),
    )
    task.say(verdict(problems))


if __name__ == "__main__":
    run(main)
