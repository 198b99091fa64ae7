"""Target profiles: the Edge TPU runtime that a model is compiled for, and what every Edge TPU has.

A compiled model names the oldest runtime that can run it, and an older one refuses it ("Package requires runtime version (14), which is
newer than this runtime version (13)"). Runtime versions are those of libedgetpu's api/runtime_version.h; the compiler takes one with -m.
"""

from typing import NamedTuple

# The compiler that predictions are about, and the TensorFlow Lite in it: libedgetpu's release for it (grouper) is built on 2.5, and no
# log that is known contradicts it (it refuses TRANSPOSE_CONV version 4; 15.0 refuses REVERSE_V2 version 3, and 14.1 CONV_2D version 5).
COMPILER = "16.0"
TENSORFLOW = "2.5"

# SRAM that caches parameters, less what instructions and activations take. coral.ai ("Edge TPU Compiler") says about 8 MB; the logs of
# models that were compiled alone tell of 6.06 to 7.86 MiB. Below the one all fits, above the other it does not.
CACHE_AT_LEAST = int(6.0 * 1024 * 1024)
CACHE_AT_MOST = 8 * 1024 * 1024


class Target(NamedTuple):
    """What is compiled for. runtime: the oldest Edge TPU runtime that must run the model, as the compiler's -m takes it."""

    name: str
    runtime: int
    help: str


_ALL = (
    Target("coral-runtime-14", 14, "Coral devices with the last runtime (libedgetpu 16.0, July 2021)"),
    Target("coral-runtime-13", 13, "Coral devices with a runtime of 2020 (libedgetpu 14.0 and 15.0)"),
    Target("coral-runtime-12", 12, "Coral devices with a runtime of the beginning of 2020"),
    Target("coral-runtime-10", 10, "Coral devices that were never updated"),
)
TARGETS = {target.name: target for target in _ALL}
