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


def refuse_random(name, kind):
    """The StageError for the operation `name` of that kind in a deterministic training."""
    return StageError(
        "deterministic training is not possible with this config",
        name,
        "no random choice within a step but dropout",
        kind,
        "remove what draws at random (as model.ssd.loss.random_example_sampler), or set `deterministic: false`",
    )
