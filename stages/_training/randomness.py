"""What draws at random within a training step, and whether it can be made the same each time."""

from _runtime import StageError

# Operations whose random generator's state is in no checkpoint (tensorflow/core/ops/random_ops.cc).
RANDOM_OPERATIONS = frozenset(
    (
        "RandomUniform",
        "RandomUniformInt",
        "RandomStandardNormal",
        "ParameterizedTruncatedNormal",
        "TruncatedNormal",
        "RandomShuffle",
        "Multinomial",
        "RandomGamma",
        "RandomPoisson",
        "RandomPoissonV2",
    )
)


def refuse_random(name, kind, advice):
    """The StageError for the operation `name` of that kind in a deterministic training. advice: a _training.advice.Advice."""
    return StageError(
        "deterministic training is not possible with this config",
        name,
        "no random choice within a step but dropout",
        kind,
        advice.random,
    )


def check_repeatable(graph, advice):
    """Refuse a traced training step, as a GraphDef, that draws at random from what is in no checkpoint. Raises StageError."""
    for node in (*graph.node, *(node for function in graph.library.function for node in function.node_def)):
        if node.op in RANDOM_OPERATIONS:
            raise refuse_random(node.name, node.op, advice)
