"""detect.py on videos: every frame with its number and time, a video with boxes, and a word where something is wrong with it."""

import csv
import json
import os
import pty
import signal
import subprocess
import time

import av
import numpy as np
import pytest
from detect_runs import LIBRARIES, files, others
from films import RATE, film, pictures, sound, turned
from PIL import Image


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def told(path):
    return json.loads(path.read_text(encoding="utf-8"))


def shown(path):
    """The pictures of a video, list of uint8 [height, width, 3]."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_frame_has_its_number_and_time(detect, tmp_path, library):
    path = film(tmp_path / "clip.mp4")
    code, out, err = detect(path, "--csv", "found.csv", "--json", "found.json", hide=others(library))
    assert (code, err) == (0, "")
    images = told(detect.work / "found.json")["images"]
    assert [(image["frame"], image["time"]) for image in images] == [(number, round(number / RATE, 6)) for number in range(30)]
    assert {(image["file_name"], image["drawn"], image["width"], image["height"]) for image in images} == {
        (str(path), "clip_detections.mp4", 96, 64)
    }
    table = rows(detect.work / "found.csv")
    assert {(row["file"], row["frame"], row["time"]) for row in table} <= {
        (str(path), str(image["frame"]), str(image["time"])) for image in images
    }
    assert len(table) == len(told(detect.work / "found.json")["annotations"]) > 30
    lines = out.splitlines()
    assert lines[0].startswith("%s: 30 frames, 30 with objects: " % path)
    assert lines[1].startswith("1 video, 30 frames, %d objects: " % len(table))


def test_pyav_and_opencv_find_the_same(detect, tmp_path):
    path = film(tmp_path / "clip.mp4")
    for library in LIBRARIES:
        assert detect(path, "--csv", library + ".csv", "--output", library, hide=others(library))[0] == 0
    assert rows(detect.work / "av.csv") == rows(detect.work / "cv2.csv")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.MP4", "mpeg4"), ("a.mov", "mjpeg"), ("a.avi", "mjpeg"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("a.ts", "libx264")],
)
def test_the_usual_containers_and_codecs_are_read(detect, tmp_path, library, name, codec):
    path = film(tmp_path / name, pictures(12), codec=codec, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p")
    code, out, err = detect(path, hide=others(library))
    assert (code, "1 video, 12 frames, " in out) == (0, True), err


@pytest.mark.parametrize("library", LIBRARIES)
def test_frames_that_are_not_evenly_spaced_have_their_own_times(detect, tmp_path, library):
    times = [0.5, 0.55, 0.8, 1.5, 1.6]
    path = film(tmp_path / "clip.mkv", pictures(5), times=times)
    detect(path, "--json", "found.json", hide=others(library))
    found = [image["time"] for image in told(detect.work / "found.json")["images"]]
    assert found == pytest.approx([each - 0.5 for each in times], abs=0.002)


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_nth_frame_alone_is_looked_at(detect, tmp_path, library):
    code, out, _ = detect(film(tmp_path / "clip.mp4"), "--every", "7", "--json", "found.json", hide=others(library))
    assert (code, "1 video, 5 frames, " in out) == (0, True)
    images = told(detect.work / "found.json")["images"]
    assert [(image["frame"], image["time"]) for image in images] == [(number, number / RATE) for number in (0, 7, 14, 21, 28)]
    drawn = detect.work / "detections" / "clip_detections.mp4"
    assert len(shown(drawn)) == 5
    with av.open(str(drawn)) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(RATE / 7, abs=0.01)  # so that it lasts as long


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("size", [(96, 64), (97, 63)])
def test_a_video_with_the_boxes_is_written(detect, tmp_path, library, size):
    width, height = size
    frames = pictures(6, width, height)
    path = film(tmp_path / "clip.avi", frames, codec="mjpeg", pix_fmt="yuvj444p")
    assert detect(path, "--json", "found.json", hide=others(library))[0] == 0
    drawn = shown(detect.work / "detections" / "clip_detections.mp4")
    assert len(drawn) == 6
    assert {each.shape for each in drawn} == {(height + height % 2, width + width % 2, 3)}
    for original, result in zip(frames, drawn):
        changed = np.abs(result[:height, :width].astype(int) - original).max(axis=2) > 60
        assert changed.any()
    with av.open(str(detect.work / "detections" / "clip_detections.mp4")) as container:
        assert float(container.streams.video[0].average_rate) == RATE


def test_the_video_with_the_boxes_has_the_same_bytes_each_time_and_with_any_number_of_processors(detect, tmp_path):
    path = film(tmp_path / "clip.mp4", pictures(12, 960, 720))
    detect(path, "--output", "one")
    detect(path, "--output", "two")
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        detect(path, "--output", "three")
    finally:
        os.sched_setaffinity(0, processors)
    assert len({(detect.work / name / "clip_detections.mp4").read_bytes() for name in ("one", "two", "three")}) == 1


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_video_is_seen_upright(detect, tmp_path, library, degrees):
    path = turned(film(tmp_path / "clip.mp4", pictures(3)), degrees)
    assert detect(path, "--threshold", "1", "--json", "found.json", hide=others(library))[0] == 0
    expected = np.rot90(pictures(3)[0], -degrees // 90)
    image = told(detect.work / "found.json")["images"][0]
    assert (image["height"], image["width"]) == expected.shape[:2]
    drawn = shown(detect.work / "detections" / "clip_detections.mp4")[0]
    assert np.abs(drawn.astype(int) - expected).mean() < 12


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("name", "options"), [("a.mp4", {"movflags": "faststart"}), ("a.avi", {}), ("a.mkv", {}), ("a.webm", {})])
def test_of_a_video_that_is_cut_off_what_can_be_read_is_kept_and_that_is_told(detect, tmp_path, library, name, options):
    codec = {"a.avi": "mpeg4", "a.webm": "libvpx-vp9"}.get(name, "libx264")
    path = film(tmp_path / name, pictures(90), codec=codec, **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    code, out, err = detect(path, "--json", "found.json", hide=others(library))
    seen = len(told(detect.work / "found.json")["images"])
    assert 10 < seen < 80
    assert (code, "1 video, %d frames" % seen in out) == (2, True)
    told_of = "%s: the video is cut off or damaged (expected 90 frames, found %d that could be read); what was read of it is kept" % (
        path,
        seen,
    )
    assert err == "detect.py: error: %s\n" % told_of
    assert len(shown(detect.work / "detections" / "a_detections.mp4")) == seen


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_video_that_is_damaged_in_the_middle_is_read_on_by_pyav_and_told_by_both(detect, tmp_path, library):
    path = film(tmp_path / "a.avi", pictures(60), codec="mjpeg", pix_fmt="yuvj420p")
    data = bytearray(path.read_bytes())
    start = data.index(b"\xff\xd8", len(data) // 2)
    data[start : start + 4000] = bytes(4000)
    path.write_bytes(bytes(data))
    code, out, err = detect(path, "--json", "found.json", hide=others(library))
    images = told(detect.work / "found.json")["images"]
    assert images[-1]["frame"] > (45 if library == "av" else 20)
    assert (code, "1 video" in out) == (2, True)
    assert "the video is cut off or damaged" in err


def wrong(path, kind):
    if kind == "text":
        path.write_text("no video at all\n" * 100)
    elif kind == "nothing":
        path.write_bytes(b"")
    elif kind == "without its index":
        whole = film(path).read_bytes()
        path.write_bytes(whole[: len(whole) // 3])
    elif kind == "sound":
        sound(path)
    elif kind == "no frames":
        film(path, [], codec="mjpeg", pix_fmt="yuvj420p")
    return path


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("a.mp4", "text", "the video cannot be read (expected a whole video"),
        ("a.mkv", "nothing", "the video cannot be read (expected a whole video"),
        ("a.mp4", "without its index", "the video cannot be read (expected a whole video"),
        ("a.mp4", "sound", {"av": "there is no video in the file", "cv2": "the video cannot be read"}),
        ("a.avi", "no frames", "the video has no frames (expected one or more that can be decoded, found none)"),
        ("gone.mp4", "missing", "there is no such video"),
    ],
)
def test_what_is_no_video_is_told_and_the_others_are_done(detect, tmp_path, library, name, kind, says):
    path, good = wrong(tmp_path / name, kind), film(tmp_path / "good.mp4", pictures(5))
    code, out, err = detect(path, good, hide=others(library))
    assert code == 2
    assert "1 video, 5 frames, " in out
    lines = [line for line in err.splitlines() if line.startswith("detect.py")]
    assert len(lines) == 1, err
    assert lines[0].startswith("detect.py: error: %s: %s" % (path, says if isinstance(says, str) else says[library]))
    assert files(detect.work / "detections") == ["good_detections.mp4"]


def test_pictures_and_videos_of_a_folder_are_done_in_order(detect, tmp_path):
    film(tmp_path / "all" / "b" / "clip.mp4", pictures(3))
    film(tmp_path / "all" / "a.avi", pictures(2), codec="mpeg4")
    Image.fromarray(pictures(1)[0]).save(tmp_path / "all" / "c.png")
    code, out, err = detect(tmp_path / "all", "--json", "found.json")
    assert (code, err) == (0, "")
    assert [(os.path.basename(image["file_name"]), image.get("frame")) for image in told(detect.work / "found.json")["images"]] == [
        ("a.avi", 0),
        ("a.avi", 1),
        ("clip.mp4", 0),
        ("clip.mp4", 1),
        ("clip.mp4", 2),
        ("c.png", None),
    ]
    assert "1 picture, 2 videos, 5 frames, " in out
    assert files(detect.work / "detections") == ["a_detections.mp4", "b/clip_detections.mp4", "c_detections.jpg"]


def test_without_a_library_for_videos_the_pictures_are_done(detect, tmp_path):
    film(tmp_path / "all" / "a.mp4", pictures(2))
    Image.fromarray(pictures(1)[0]).save(tmp_path / "all" / "c.png")
    code, out, err = detect(tmp_path / "all", hide=LIBRARIES)
    assert (code, "1 picture, " in out) == (2, True)
    assert "nothing here reads videos; pip install av (PyAV), or opencv-python-headless (OpenCV)" in err


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_folder_that_cannot_be_written_to_is_told(detect, tmp_path, library):
    (tmp_path / "file").write_text("")
    code, _, err = detect(film(tmp_path / "clip.mp4", pictures(2)), "--output", tmp_path / "file" / "x", hide=others(library))
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot be written" in err


def test_what_was_found_before_a_stop_is_whole(command, tmp_path):
    """Ctrl-C in the middle of a long video."""
    film(tmp_path / "clip.mp4", pictures(20) * 400)
    running = subprocess.Popen(
        **command(tmp_path / "clip.mp4", "--csv", "found.csv", "--json", "found.json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    table = command.work / "found.csv"
    deadline = time.monotonic() + 60
    while not (table.exists() and table.stat().st_size) and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err.decode().splitlines()[-1] == "detect.py: stopped"
    images = told(command.work / "found.json")["images"]
    assert 0 < len(images) < 8000
    assert {int(row["frame"]) for row in rows(table)} <= {image["frame"] for image in images}
    assert len(shown(command.work / "detections" / "clip_detections.mp4")) == len(images)
    assert b"with boxes: detections" in out


def test_a_terminal_shows_how_far_it_is_and_a_file_does_not(command, detect, tmp_path):
    path = film(tmp_path / "clip.mp4", pictures(20) * 20)
    ours, theirs = pty.openpty()
    done = subprocess.run(**command(path), check=False, stdout=subprocess.PIPE, stderr=theirs, timeout=120)
    os.close(theirs)
    seen = os.read(ours, 1 << 20).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "/400 pictures" in seen
    assert "objects" in seen
    assert seen.endswith("\r")
    assert detect(path)[2] == ""
