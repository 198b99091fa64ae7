"""The words of the Edge TPU compiler: the name of its operator, and the statuses in its table of operators, as it prints them."""

# Stands in a compiled model for all that runs on the Edge TPU.
CUSTOM_OP = "edgetpu-custom-op"

MAPPED = "Mapped to Edge TPU"
# Why an operator stays on the CPU.
BAD_TYPE = "Operation is working on an unsupported data type"
BAD_RANK = "Tensor has unsupported rank (up to 3 innermost dimensions mapped)"
SECOND = "More than one subgraph is not supported"
NOT_SUPPORTED = "Operation not supported"
LIMITATION = "Operation is otherwise supported, but not mapped due to some unspecified limitation"
BAD_VERSION = "Operation version not supported"

# Those that were seen. A table may have others.
STATUSES = (MAPPED, SECOND, LIMITATION, BAD_TYPE, NOT_SUPPORTED, BAD_VERSION, BAD_RANK)
