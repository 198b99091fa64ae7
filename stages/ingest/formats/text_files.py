"""Label files that have a line for each object: YOLO's, OIDv4 ToolKit's."""

LARGEST = 16 << 20  # bytes of the labels of one image


def read_lines(path, file, findings):
    """The lines that hold anything, [(number from 1, text)]; None where the file is unusable (the findings say why). file: for messages."""
    try:
        with open(str(path), "rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        findings.bad("txt-unreadable", file, "the label file cannot be read: %s" % error.strerror)
        return None
    if len(data) > LARGEST:
        findings.bad("txt-broken", file, "more than %d bytes are too many for the labels of one image" % LARGEST)
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        findings.bad("txt-broken", file, "the label file is not UTF-8: there is the byte 0x%02x" % data[error.start], line)
        return None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
