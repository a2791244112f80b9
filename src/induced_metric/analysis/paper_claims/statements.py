"""Claims 8-15 as data: what the paper says of networks, and of the update itself.

A statement is a list of comparisons, all of which must hold. Where the paper's words are vague, the text here
says what we take them to mean.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

Measure: TypeAlias = Literal["mean", "best", "spread", "seconds"]
"""The mean, the best, or the standard deviation of the best runs; or how soon they reach the target."""
Relation: TypeAlias = Literal["better", "more", "equal"]

SEVEN = ("adam", "adamw", "muon", "sgd", "sgd_metric", "sgd_log_metric", "sgd_rms")
SCALED = ("adam", "adamw", "muon", "sgd_rms")
PLAIN = ("sgd", "sgd_metric", "sgd_log_metric")


class Statement(NamedTuple):
    """A claim on a task.

    Attributes:
        claim: its number, with a letter where the paper says several things at once.
        text: what it says.
        task: the paper's task; its presets and other sizes are evidence too, each on its own.
        pairs: the pairs of optimisers that are compared.
        measure: what they are compared by.
        relation: the first is ``better`` than the other, has ``more`` of the measure, or is ``equal``.
    """

    claim: str
    text: str
    task: str
    pairs: Sequence[tuple[str, str]]
    measure: Measure
    relation: Relation = "better"


class Identity(NamedTuple):
    """A claim on the update itself.

    Attributes:
        claim: its number.
        text: what it says.
        tests: the tests that show it, as pytest names them; or the code that measures it.
        shown: whether these decide the claim.
    """

    claim: str
    text: str
    tests: Sequence[str]
    shown: bool


def _leads(name: str, among: Sequence[str] = SEVEN) -> list[tuple[str, str]]:
    return [(name, other) for other in among if other != name]


def _all(group: Sequence[str], others: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, other) for name in group for other in others]


STATEMENTS = (
    Statement("8a", "Regression: SGD_RMS has the best mean", "regression", _leads("sgd_rms"), "mean"),
    Statement("8b", "Regression: Adam has the best single run", "regression", _leads("adam"), "best"),
    Statement("8c", "Regression: SGD_LOG_METRIC, best in low dimension, has a worse mean than Adam, AdamW, "
              "Muon and SGD_RMS", "regression", _all(SCALED, ["sgd_log_metric"]), "mean"),
    Statement("9a", "Regression: SGD_RMS reaches better values than AdamW", "regression",
              [("sgd_rms", "adamw")], "mean"),
    Statement("9b", "Regression: SGD_RMS's values are more spread out than AdamW's", "regression",
              [("sgd_rms", "adamw")], "spread", "more"),
    Statement("10a", "MNIST: SGD_LOG_METRIC has the best single run", "mnist", _leads("sgd_log_metric"),
              "best"),
    Statement("10b", "MNIST: Muon has the best mean", "mnist", _leads("muon"), "mean"),
    Statement("10c", "MNIST: the metric optimisers reach 98% accuracy sooner than Adam and AdamW", "mnist",
              _all(["sgd_metric", "sgd_log_metric", "sgd_rms"], ["adam", "adamw"]), "seconds"),
    Statement("11a", "CIFAR-10: SGD_RMS has the best mean", "cifar10", _leads("sgd_rms"), "mean"),
    Statement("11b", "CIFAR-10: SGD_RMS has the best single run", "cifar10", _leads("sgd_rms"), "best"),
    Statement("11c", "CIFAR-10: SGD_METRIC is worse than SGD", "cifar10", [("sgd", "sgd_metric")], "mean"),
    Statement("11d", "CIFAR-10: SGD_LOG_METRIC's mean equals SGD's", "cifar10",
              [("sgd_log_metric", "sgd")], "mean", "equal"),
    Statement("11e", "CIFAR-10: SGD_LOG_METRIC's best run is better than SGD's", "cifar10",
              [("sgd_log_metric", "sgd")], "best"),
    Statement("12a", "TinyShakespeare: Adam, AdamW, Muon and SGD_RMS form a class that is better than the "
              "three others", "shakespeare", _all(SCALED, PLAIN), "mean"),
    Statement("12b", "TinyShakespeare: SGD_RMS has the best mean", "shakespeare", _leads("sgd_rms"), "mean"),
    Statement("12c", "TinyShakespeare: AdamW has the best single run", "shakespeare", _leads("adamw"),
              "best"),
)  # fmt: skip

_MATHS, _PROPERTIES = "tests/optimizers/test_metric_maths.py", "tests/optimizers/test_optimizer_properties.py"
IDENTITIES = (
    Identity("13", "A step costs as much as a step of Adam: one dot product more than a step of SGD",
             ["benchmarks/optimizers.py"], False),
    Identity("14", "As ξ → 0, SGD_METRIC becomes SGD with EMA momentum, and SGD_RMS becomes AdamW",
             [f"{_MATHS}::test_xi_of_zero_gives_the_optimizer_without_the_metric",
              f"{_PROPERTIES}::test_update_tends_to_that_without_the_metric_as_xi_tends_to_zero"], True),
    Identity("15a", "The update clips gradients smoothly",
             [f"{_MATHS}::test_update_clips_smoothly",
              f"{_PROPERTIES}::test_r_decreases_with_the_norm_of_the_gradient"], True),
    Identity("15b", "In the log form, a constant factor of the loss cancels",
             [f"{_MATHS}::test_log_form_is_invariant_under_rescaling_of_the_loss"], True),
    Identity("15c", "The log form acts like a warm-up and decay of the learning rate",
             ["induced_metric.analysis.landscapes.concepts.log_schedule"], False),
)  # fmt: skip
