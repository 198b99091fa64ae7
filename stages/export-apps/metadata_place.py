"""Putting metadata and files into a .tflite, with every byte of the model kept as it is.

A new root stands before the model: it points to the model's own parts and to the metadata. Offsets of FlatBuffers are relative and lead
forward (https://flatbuffers.dev/internals/), so the model behind it needs no change, and its weights stay aligned. To pack it anew, as the
writer of tflite-support does, would leave out what that library's schema, of 2023, does not know. Files are a zip archive at the end,
uncompressed, as its readers want it (tensorflow_lite_support/metadata/cc/metadata_extractor.cc).
"""

import io
import struct
import zipfile

from _runtime import StageError
from _tflite.flatbuffer import DamagedError, FlatBuffer
from _tflite.model import IDENTIFIER, read_model

NAME = "TFLITE_METADATA"
ALIGNMENT = 64  # of what stands before the model; TensorFlow Lite's schema asks for 16
_FIELDS = 8  # of the table Model: version, operator_codes, subgraphs, description, buffers, metadata_buffer, metadata, signature_defs
_BUFFERS, _METADATA = 4, 6
_PUBLISHED = (1980, 1, 1, 0, 0, 0)  # the zip format's first moment: the same inputs give the same bytes


def with_metadata(content, metadata, files, where="model.tflite"):
    """The bytes of a model with metadata and files inside; those that it had are replaced.

    content: of a .tflite; metadata: of a ModelMetadata with its identifier; files: {name: bytes}. Raises StageError where the model is
    damaged, or larger than offsets reach.
    """
    content = without_files(content)
    read_model(content, where)
    try:
        front = _front(FlatBuffer(content), metadata)
    except (DamagedError, struct.error) as error:
        raise StageError("the model is damaged", where, "a whole TensorFlow Lite flatbuffer", error, "convert it again") from None
    return _with_files(front + content, files)


def without_files(content):
    """The model without the zip archive at its end, if there is one."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            starts = [entry.header_offset for entry in archive.infolist()]
    except zipfile.BadZipFile:
        return content
    return content[: min(starts, default=len(content))]


def _with_files(content, files):
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _PUBLISHED)
            entry.create_system = 3  # Unix, whatever this machine is
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return stream.getvalue()


def _front(buffer, metadata):
    """What stands before the model: header, root table, its two vectors, and the metadata."""
    root = buffer.root()
    buffers = [table.offset for table in root.tables(_BUFFERS)]
    if any(table.number(1, "Q") for table in root.tables(_BUFFERS)):
        raise DamagedError("its weights lie outside of the flatbuffer")
    entries = root.tables(_METADATA)
    own = next((entry.number(1, "I") for entry in entries if entry.text(0) == NAME), len(buffers))
    front = _Front(metadata, own)
    old = [entry.offset for entry in entries if entry.text(0) != NAME]
    front.lay(buffers, old)
    return front.bytes(buffer, root)


class _Front:
    """The parts before the model and where each of them lies (bytes from the start)."""

    def __init__(self, metadata, number):
        """number: of the buffer that holds the metadata: the model's next, or the one that held some before."""
        self._metadata, self._number = metadata, number

    def lay(self, buffers, entries):
        """buffers, entries: places of the model's tables Buffer and Metadata, in the model."""
        self._buffers = [*buffers[: self._number], None, *buffers[self._number + 1 :]]
        self._entries = [*entries, None]
        self._vtable = 8
        self._root = self._vtable + 4 + 2 * _FIELDS
        self._buffer_vector = self._root + 4 + 4 * _FIELDS
        self._entry_vector = self._buffer_vector + 4 + 4 * len(self._buffers)
        self._entry = self._entry_vector + 4 + 4 * len(self._entries)
        self._name = self._entry + 8 + 12
        self._buffer = self._name + 4 + _up(len(NAME) + 1, 4)
        self._data = _up(self._buffer + 8 + 8 + 4, 16)
        self.size = _up(self._data + len(self._metadata), ALIGNMENT)

    def bytes(self, buffer, root):
        """The front of the model in `buffer`, whose root table is `root`."""
        made = bytearray(self.size)
        struct.pack_into("<I4s", made, 0, self._root, IDENTIFIER)
        self._put_root(made, buffer, root)
        self._put_vector(made, self._buffer_vector, self._buffers, self._buffer + 8)
        self._put_vector(made, self._entry_vector, self._entries, self._entry + 8)
        # Tables, each behind its vtable of two fields: Metadata (name, buffer) and Buffer (data).
        struct.pack_into("<4H", made, self._entry, 8, 12, 4, 8)
        place = self._entry + 8
        struct.pack_into("<iII", made, place, 8, self._name - place - 4, self._number)
        struct.pack_into("<I", made, self._name, len(NAME))
        made[self._name + 4 : self._name + 4 + len(NAME)] = NAME.encode("ascii")
        struct.pack_into("<3H", made, self._buffer, 6, 8, 4)
        place = self._buffer + 8
        struct.pack_into("<iI", made, place, 8, self._data - 4 - place - 4)
        struct.pack_into("<I", made, self._data - 4, len(self._metadata))
        made[self._data : self._data + len(self._metadata)] = self._metadata
        return bytes(made)

    def _put_root(self, made, buffer, root):
        places = {_BUFFERS: self._buffer_vector, _METADATA: self._entry_vector}
        struct.pack_into("<2H", made, self._vtable, 4 + 2 * _FIELDS, 4 + 4 * _FIELDS)
        struct.pack_into("<i", made, self._root, self._root - self._vtable)
        for slot in range(_FIELDS):
            old, here = root.place(slot), self._root + 4 + 4 * slot
            if old is None and slot not in places:
                continue
            struct.pack_into("<H", made, self._vtable + 4 + 2 * slot, here - self._root)
            if slot == 0:
                value = root.number(0, "I")
            else:
                value = places.get(slot, 0) - here if slot in places else self.size + buffer.follow(old) - here
            struct.pack_into("<I", made, here, value)

    def _put_vector(self, made, place, tables, own):
        """A vector of offsets to tables: those of the model, and, where None stands, the one at `own`."""
        struct.pack_into("<I", made, place, len(tables))
        for number, table in enumerate(tables):
            here = place + 4 + 4 * number
            struct.pack_into("<I", made, here, (own if table is None else self.size + table) - here)


def _up(number, step):
    return -(-number // step) * step
