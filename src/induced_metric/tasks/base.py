"""Defines a task: data splits, a model with its loss, the metric to be optimised, and how it is run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import jax
import numpy as np
from typing_extensions import TypedDict  # pydantic refuses the one in `typing` below Python 3.12

from induced_metric.models.dropout import StepKeys

Params: TypeAlias = Any  # pytree of arrays
ModelState: TypeAlias = Any  # pytree of arrays: {} or BatchNorm statistics
Batch: TypeAlias = Any  # pytree of arrays with a leading axis of examples
MicroBatch: TypeAlias = int | Literal["auto"] | None
Shuffle: TypeAlias = Literal["once", "every_epoch", "every_epoch_bijection"]
Precision: TypeAlias = Literal["float32", "tf32", "bfloat16"]

# JAX's names for the precision of products of float32 matrices. Its default depends on the device.
_MATMUL_PRECISION = {"float32": "float32", "tf32": "tensorfloat32", "bfloat16": "tensorfloat32"}


class RunSettings(TypedDict):
    """How a task is run: the settings that all tasks have, whatever their data and model.

    A function that builds a task takes them as ``**run: Unpack[RunSettings]`` and passes them on as
    ``Task(..., **run)``, which checks them. They have no defaults: the task's YAML sets each of them.

    Attributes:
        name: as in ``conf/task/<name>.yaml``.
        epochs: epochs of one trial.
        batch_size: examples per step; a remainder of the training split is dropped.
        micro_batch: examples whose gradient is computed at once. The gradients of a batch are averaged, so
            this limits the memory and changes only the rounding. None takes the whole batch. So does
            ``auto``, except on a CPU, where it takes no more examples than suit the task.
        objective: the metric to optimise, with its split: ``test/loss``.
        eval_splits: the splits that are evaluated after every epoch.
        shuffle: whether the training examples are put in a new order ``once`` per trial or before
            ``every_epoch``. ``every_epoch_bijection`` does the latter without sorting, which for a small
            model costs as much as the training.
        precision: precision of products and convolutions. ``tf32`` cuts their factors to 10 bits if the
            device can. With ``bfloat16`` the model computes in bfloat16, as mixed precision: parameters,
            their averages and the loss stay float32, and the optimiser's products are as with ``tf32``.
    """

    name: str
    epochs: int
    batch_size: int
    micro_batch: MicroBatch
    objective: str
    eval_splits: Sequence[str]
    shuffle: Shuffle
    precision: Precision


@dataclass(frozen=True, kw_only=True)
class Task:
    """Data splits + model + loss + objective, with the settings of ``RunSettings``.

    Attributes:
        name: see ``RunSettings``, as for all up to ``precision``.
        splits: the data by split; ``train`` is trained on. Each is a pytree of host arrays whose leading
            axis counts examples.
        init: ``init(key) -> (params, model_state)``.
        loss: ``loss(params, model_state, batch, keys) -> (mean loss, (model_state, {name: mean}))``, in
            training mode; ``keys`` are for dropout. The metrics beside the loss are those to follow during
            training, such as ``train/minibatch_accuracy``.
        metrics: ``metrics(params, model_state, batch) -> {name: mean over the batch}``, in evaluation mode.
        direction: whether the objective is to be minimised or maximised.
        cpu_micro_batch: the most examples that ``micro_batch: auto`` takes on a CPU, because their
            activations fit its caches; None for the whole batch.
        couples_examples: whether the loss of a batch differs from the mean of its examples' losses, as with
            BatchNorm, which uses the statistics of the batch; such a batch cannot be divided.
        sampled: how many examples of an evaluated split, other than ``train``, are evaluated. Each trial
            draws its own from its seed and keeps them for all epochs. None evaluates all.
        finish: ``{name: value} -> {name: value}``, applied to the means over each split; a perplexity, for
            instance, is the exponential of the mean loss and not itself a mean.
    """

    name: str
    epochs: int
    batch_size: int
    micro_batch: MicroBatch
    objective: str
    eval_splits: Sequence[str]
    shuffle: Shuffle
    precision: Precision
    splits: Mapping[str, Batch]
    init: Callable[[jax.Array], tuple[Params, ModelState]]
    loss: Callable[
        [Params, ModelState, Batch, StepKeys], tuple[jax.Array, tuple[ModelState, dict[str, jax.Array]]]
    ]
    metrics: Callable[[Params, ModelState, Batch], dict[str, jax.Array]]
    direction: Literal["minimize", "maximize"]
    cpu_micro_batch: int | None = None
    couples_examples: bool = False
    sampled: int | None = None
    finish: Callable[[dict[str, jax.Array]], dict[str, jax.Array]] = dict

    def __post_init__(self) -> None:
        """Raises ValueError for a setting that cannot be run; the message says what is allowed."""
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name must be text and not empty, got {self.name!r}")
        if not isinstance(self.epochs, int) or self.epochs < 1:
            raise ValueError(f"epochs must be an integer >= 1, got {self.epochs!r}")
        most = self.num_examples("train")
        if not isinstance(self.batch_size, int) or not 1 <= self.batch_size <= most:
            raise ValueError(
                f"batch_size must be an integer between 1 and the {most} training examples, "
                f"got {self.batch_size!r}"
            )
        if self.micro_batch not in (None, "auto"):
            self._check_micro_batch(self.micro_batch)
        if self.direction not in ("minimize", "maximize"):
            raise ValueError(f"direction must be minimize or maximize, got {self.direction!r}")
        if self.shuffle not in get_args(Shuffle):
            raise ValueError(f"shuffle must be one of {', '.join(get_args(Shuffle))}, got {self.shuffle!r}")
        _checked(self.precision)
        self._check_evaluation()

    def _check_micro_batch(self, size: Any) -> None:
        if not isinstance(size, int) or size < 1 or self.batch_size % size:
            raise ValueError(
                f"micro_batch must be null, auto, or divide the batch of {self.batch_size}, got {size!r}"
            )
        if self.couples_examples and size != self.batch_size:
            raise ValueError(
                f"micro_batch must be null: BatchNorm computes its statistics over the whole batch of "
                f"{self.batch_size}, and over {size} examples it would be another model; "
                "to use less memory, reduce batch_size"
            )

    def _check_evaluation(self) -> None:
        evaluated = self.eval_splits
        listed = isinstance(evaluated, Sequence) and not isinstance(evaluated, str)
        if not evaluated or not listed or any(split not in self.splits for split in evaluated):
            raise ValueError(
                f"eval_splits must list at least one of the splits {', '.join(self.splits)}, "
                f"got {evaluated!r}"
            )
        if not isinstance(self.objective, str) or self.objective.split("/")[0] not in evaluated:
            raise ValueError(
                f"objective must be a metric of an evaluated split ({', '.join(evaluated)}), "
                f"got {self.objective!r}"
            )
        for split in evaluated:
            count, most = self.num_sampled(split), self.num_examples(split)
            if count is not None and not 1 <= count <= most:
                raise ValueError(f"sampled must be between 1 and all {most} of {split}, got {count}")

    def num_examples(self, split: str) -> int:
        """Number of examples in a split."""
        return int(jax.tree.leaves(self.splits[split])[0].shape[0])

    def num_sampled(self, split: str) -> int | None:
        """Number of examples that a trial draws from a split to evaluate it; None if it takes all."""
        return None if split == "train" else self.sampled

    @property
    def examples_at_once(self) -> int:
        """Examples whose gradient is computed at once: the value of ``micro_batch`` on this device."""
        if self.micro_batch is None:
            return self.batch_size
        if self.micro_batch != "auto":
            return self.micro_batch
        if self.cpu_micro_batch is None or jax.default_backend() != "cpu":
            return self.batch_size
        return max(size for size in range(1, self.cpu_micro_batch + 1) if self.batch_size % size == 0)

    @property
    def matmul_precision(self) -> str:
        """JAX's name for the precision of products of float32 matrices."""
        return _MATMUL_PRECISION[self.precision]

    @property
    def steps(self) -> int:
        """Number of steps of a whole trial."""
        return self.epochs * (self.num_examples("train") // self.batch_size)

    @property
    def worst(self) -> float:
        """The value of a diverged trial: finite, so that samplers can rank it, and worse than any other."""
        limit = float(np.finfo(np.float32).max)
        return limit if self.direction == "minimize" else -limit


def model_dtype(run: RunSettings) -> Literal["bfloat16"] | None:
    """The dtype in which a model computes under these settings; None for the dtype of its parameters.

    Raises:
        TypeError: without a precision, with Python's message for a missing argument.
        ValueError: for an unknown precision.
    """
    if "precision" not in run:
        raise TypeError("missing 1 required keyword-only argument: 'precision'")
    return "bfloat16" if _checked(run["precision"]) == "bfloat16" else None


def _checked(precision: Precision) -> Precision:
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}")
    return precision
