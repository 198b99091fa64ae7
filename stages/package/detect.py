"""Find objects in pictures and videos with the model of this package.

    python detect.py photo.jpg folder clip.mp4 --output found --csv found.csv --json found.json

It prints a line for each object and writes each picture with its boxes. Needed: Python 3.7 or later, NumPy, Pillow, and LiteRT
(`pip install ai-edge-litert`) or tflite-runtime; for videos also PyAV (`pip install av`) or OpenCV (`pip install opencv-python-headless`).
Exit status: 0 done, 2 something is missing or wrong, 3 no Edge TPU delegate.
"""

import argparse
import os
import sys
from contextlib import ExitStack, closing

from detect_arguments import share, whole
from detect_errors import StageError
from detect_inputs import UnreadableError, find_sources, notes_on, printable, read_picture
from detect_model import Detector, in_pixels, reaches, read_facts, read_labels, thresholds
from detect_outputs import CocoFile, Progress, Seen, Table, check_targets, draw, new_folder, targets_of, together, unwritable
from detect_video import create_video, open_video

HERE = os.path.dirname(os.path.abspath(__file__))
STOPPED = 130


class Run:
    """Detection in many pictures and videos, one after the other, and what became of them.

    pictures, videos, frames: how many were done; objects: {label: how many}; notes: what the user should know; problems: list of
    StageError, of what could not be done; stopped: whether the user stopped it (Ctrl-C).
    """

    def __init__(self, detector, labels, limits, options, progress):
        self._detector, self._labels, self._limits = detector, labels, limits
        self._every, self._folder = options.every, options.output
        self._progress = progress
        self._before = self._left = 0  # pictures and frames that are done; sources that are not
        self.stopped = False
        self._outputs = []
        self.pictures = self.videos = self.frames = 0
        self.objects, self.notes, self.problems = {}, [], []

    def work(self, sources, targets, outputs):
        """Do all of them, each into its target; one that cannot be read is told and passed over. outputs: `Table` or the like."""
        self._left, self._outputs = len(sources), outputs
        try:
            for source, target in zip(sources, targets):
                self._left -= 1
                self._before += self._one(source, target)
                self._tell(0, 0)
        except KeyboardInterrupt:
            self.stopped = True
        self._progress.clear()

    def _one(self, source, target):
        """How many pictures or frames there were."""
        try:
            return (self._video if source.video else self._picture)(source, target)
        except UnreadableError as error:
            self.problem(error)
            return 1

    def problem(self, error):
        """Tell what could not be done, and go on."""
        self.problems.append(error)
        self._progress.clear()
        print("detect.py: error: %s" % printable(str(error)), file=sys.stderr)

    def _picture(self, source, target):
        pixels = read_picture(source.path, source.name)
        found, best = self._look(pixels)
        with together():
            save(draw(pixels, found), target)
            self._add(source, target, pixels, found)
            self.pictures += 1
        self._say(lines_on(source.name, found, best))
        return 1

    def _video(self, source, target):
        counts, number, with_objects = {}, 0, 0
        with ExitStack() as stack:
            video = stack.enter_context(closing(open_video(source.path, source.name)))
            writer = None
            for frame in video.read(self._every):
                found, _ = self._look(frame.pixels)
                picture = draw(frame.pixels, found)
                if writer is None:
                    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
                    writer = stack.enter_context(closing(create_video(target, picture.size, video.rate / self._every)))
                with together():
                    writer.write(picture)
                    self._add(source, target, frame.pixels, found, (frame.number, frame.seconds))
                    number, with_objects = number + 1, with_objects + bool(found)
                    self.videos, self.frames = self.videos + (number == 1), self.frames + 1
                count(found, counts)
                self._tell(number, -(-video.expected // self._every))
        if not number:
            raise UnreadableError("the video has no frames", source.name, "one or more that can be decoded", "none")
        self._say(["%s: %d frames, %d with objects%s" % (source.name, number, with_objects, told(counts))])
        if video.damaged:
            expected = "%d frames" % video.expected if video.expected > video.number else "a whole video"
            found, remedy = "%d that could be read" % video.number, "what was read of it is kept"
            self.problem(UnreadableError("the video is cut off or damaged", source.name, expected, found, remedy))
        return number

    def _look(self, pixels):
        """(objects that score enough, the best guess of those that do not, or None)."""
        guesses = in_pixels(self._detector(pixels), self._labels, pixels.shape[1], pixels.shape[0])
        found = [each for each in guesses if reaches(each, self._limits)]
        return found, max(guesses, key=lambda each: each.score, default=None)

    def _add(self, source, target, pixels, found, moment=None):
        drawn = os.path.relpath(target, self._folder).replace(os.sep, "/")
        for output in self._outputs:
            output.add(Seen(source.name, drawn, (pixels.shape[1], pixels.shape[0]), moment), found)
        count(found, self.objects)

    def _say(self, lines):
        self._progress.clear()
        for line in lines:
            print(printable(line))

    def _tell(self, done, planned):
        self._progress(self._before + done, self._before + max(done, planned) + self._left, sum(self.objects.values()))


def count(found, counts):
    """Add the objects to {label: how many}."""
    for each in found:
        counts[each.label] = counts.get(each.label, 0) + 1


def told(counts):
    """How many of each class, most first; nothing for none."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return (": " if ordered else "") + ", ".join("%s %d" % item for item in ordered)


def lines_on(name, found, best):
    """What is told of a picture: a line for each object; where there is none, the best of the guesses, if there is one."""
    if not found:
        guess = "" if best is None else " (a lower --threshold would show: %s %.2f)" % (best.label, best.score)
        return ["%s: nothing found%s" % (name, guess)]
    return ["%s: %s %.2f xmin=%.0f ymin=%.0f xmax=%.0f ymax=%.0f" % (name, each.label, each.score, *each.box) for each in found]


def save(picture, target):
    """Write a picture as JPEG."""
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    picture.save(target, "JPEG", quality=90)


def parse(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(prog="detect.py", description="Find objects in pictures and videos with the model of this package.")
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="a picture, a video, or a folder of them, read with all that is below it")
    add("--output", metavar="DIR", help="folder for pictures and videos with boxes (detections, or the next that is free: detections-2, …)")
    add("--csv", metavar="FILE", help="table to write: a row an object")
    add("--json", metavar="FILE", help="COCO JSON to write: images, categories, annotations")
    add("--overwrite", action="store_true", help="write over what is there already")
    add("--threshold", type=share, help="least score of what is told and drawn, 0..1 (each class's own, from the evaluation)")
    add("--every", type=whole, default=1, metavar="N", help="of a video, every Nth frame alone (1)")
    add("--model", help="a .tflite with its model.json beside it; model.tflite of this package unless given")
    add("--labels", default=os.path.join(HERE, "labels.txt"), help="class names, one a line; labels.txt of this package")
    add("--edgetpu", action="store_true", help="run model_edgetpu.tflite on an Edge TPU")
    return parser.parse_args(arguments)


def detect_all(options, names=None, progress=None):
    """Do what the command line asks for. Returns a `Run`. Raises StageError where nothing can be done.

    names: how each of `options.images` is told, else as it is given; progress: as `Progress`.
    """
    model = options.model or os.path.join(HERE, "model_edgetpu.tflite" if options.edgetpu else "model.tflite")
    facts = read_facts(model)
    labels = read_labels(options.labels, len(facts["classes"]))
    limits, guess = thresholds(facts, options.threshold)
    options.output = options.output or new_folder("detections")
    sources = find_sources(options.images, names or options.images, options.output)
    tables = [path for path in (options.csv, options.json) if path]
    targets = targets_of(sources.found, options.output, tables)
    check_targets(targets, tables, sources.found, options.overwrite)
    run = Run(Detector(model, facts, options.edgetpu), labels, limits, options, progress or Progress())
    run.notes += [*([guess] if guess else []), *notes_on(sources.passed)]
    for note in run.notes:
        print("detect.py: note: %s" % note, file=sys.stderr)
    for error in sources.problems:
        run.problem(error)
    try:
        with ExitStack() as stack:
            outputs = []
            if options.csv:
                outputs.append(stack.enter_context(closing(Table(options.csv))))
            if options.json:
                outputs.append(stack.enter_context(closing(CocoFile(options.json, labels))))
            run.work(sources.found, targets, outputs)
    except OSError as error:
        raise unwritable(error.filename or options.output, error) from None
    return run


def summary(run, options):
    """Lines on what was found and where it is."""
    done = [(run.pictures, "picture"), (run.videos, "video"), (run.frames, "frame"), (sum(run.objects.values()), "object")]
    yield ", ".join("%d %s%s" % (number, word, "" if number == 1 else "s") for number, word in done if number or word == "object") + told(
        run.objects
    )
    for label, path in (
        ("with boxes", options.output if run.pictures or run.videos else None),
        ("table", options.csv),
        ("COCO JSON", options.json),
    ):
        if path:
            yield "%s: %s" % (label, path)


def main(arguments=None):
    """Returns the exit status."""
    sys.stdout.reconfigure(errors="replace")  # a console may not know all letters of a label
    options = parse(arguments)
    try:
        run = detect_all(options)
    except StageError as error:
        print("detect.py: error: %s" % printable(str(error)), file=sys.stderr)
        return error.exit_status
    for line in summary(run, options):
        print(printable(line))
    if run.stopped:
        print("detect.py: stopped", file=sys.stderr)
        return STOPPED
    return StageError.exit_status if run.problems else 0


# HERE the package stage puts the source of what this file imports from elsewhere: a device runs what evaluation ran.


if __name__ == "__main__":
    sys.exit(main())
