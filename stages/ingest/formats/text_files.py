"""Label files that have a line for each object: YOLO's, OIDv4 ToolKit's."""

from formats.whole_file import read_whole

LARGEST = 16 << 20  # bytes of the labels of one image


def read_lines(path, file, findings):
    """The lines that hold anything, [(number from 1, text)]; None where the file is unusable (the findings say why). file: for messages."""
    data = read_whole(path, file, LARGEST, ("txt-unreadable", "txt-broken"), findings)
    if data is None:
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        findings.bad("txt-broken", file, "the label file is not UTF-8: there is the byte 0x%02x" % data[error.start], line)
        return None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
