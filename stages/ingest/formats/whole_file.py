"""The bytes of a small annotation file."""


def read_whole(path, file, largest, codes, findings):
    """The bytes, or None where it cannot be read or is too large (the findings say so).

    file: its name for messages; largest: bytes; codes: of a file that cannot be read, and of one that is too large.
    """
    unreadable, broken = codes
    try:
        with open(str(path), "rb") as stream:
            data = stream.read(largest + 1)
    except OSError as error:
        findings.bad(unreadable, file, "the annotation cannot be read: %s" % error.strerror)
        return None
    if len(data) > largest:
        findings.bad(broken, file, "more than %d MiB are too many for the annotation of one image" % (largest >> 20))
        return None
    return data
