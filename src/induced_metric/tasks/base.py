"""What a task is: data splits, a model with its loss, and the metric that is to be optimised."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import jax
import numpy as np

from induced_metric.models.dropout import StepKeys

Params: TypeAlias = Any  # pytree of arrays
ModelState: TypeAlias = Any  # pytree of arrays: {} or BatchNorm statistics
Batch: TypeAlias = Any  # pytree of arrays with a leading axis of examples


@dataclass(frozen=True, kw_only=True)
class Task:
    """Data splits + model + loss + objective.

    Attributes:
        name: as in ``conf/task/<name>.yaml``.
        splits: the data by split; ``train`` is trained on. Each is a pytree of host arrays whose leading
            axis counts examples.
        init: ``init(key) -> (params, model_state)``.
        loss: ``loss(params, model_state, batch, keys) -> (mean loss, (model_state, {name: mean}))``, in
            training mode; ``keys`` are for dropout. The metrics beside the loss are those worth having on the
            way: ``train/minibatch_accuracy``.
        metrics: ``metrics(params, model_state, batch) -> {name: mean over the batch}``, in evaluation mode.
        evaluated: the splits on which ``metrics`` is measured after every epoch.
        objective: the metric to optimise, named after its split: ``test/loss``.
        direction: whether the objective is to be minimised or maximised.
        epochs: epochs of one trial.
        batch_size: examples of a step; a remainder of the training split is dropped.
        shuffle: whether the training examples are put in a new order once a trial or before every epoch.
        micro_batch: examples whose gradient is computed at once; the gradients of a batch are averaged, so
            that it bounds the memory and changes nothing but the rounding. None takes the whole batch.
        couples_examples: whether the loss of a batch is not the mean of its examples' losses, as with
            BatchNorm, whose statistics are the batch's; such a batch cannot be divided.
        sampled: of a split that is not to be evaluated whole, how many examples; each trial draws its own,
            from its seed, and keeps them for all epochs.
        finish: applied to the means over a split, by split: ``{name: value} -> {name: value}``; a
            perplexity is the exponential of the mean loss and no mean of its own.
    """

    name: str
    splits: Mapping[str, Batch]
    init: Callable[[jax.Array], tuple[Params, ModelState]]
    loss: Callable[
        [Params, ModelState, Batch, StepKeys], tuple[jax.Array, tuple[ModelState, dict[str, jax.Array]]]
    ]
    metrics: Callable[[Params, ModelState, Batch], dict[str, jax.Array]]
    evaluated: tuple[str, ...]
    objective: str
    direction: Literal["minimize", "maximize"]
    epochs: int
    batch_size: int
    shuffle: Literal["once", "every_epoch"] = "once"
    micro_batch: int | None = None
    couples_examples: bool = False
    sampled: Mapping[str, int] = field(default_factory=dict)
    finish: Callable[[dict[str, jax.Array]], dict[str, jax.Array]] = dict

    def __post_init__(self) -> None:
        """Raises ValueError, naming what is allowed, for a setting that cannot be run."""
        if self.epochs < 1:
            raise ValueError(f"epochs must be >= 1, got {self.epochs}")
        if not 1 <= self.batch_size <= self.examples("train"):
            raise ValueError(
                f"batch_size must be between 1 and the {self.examples('train')} training examples, "
                f"got {self.batch_size}"
            )
        if self.micro_batch is not None:
            self._check_micro_batch(self.micro_batch)
        for split, count in self.sampled.items():
            if not 1 <= count <= self.examples(split):
                raise ValueError(
                    f"sampled must take between 1 and all {self.examples(split)} of {split}, got {count}"
                )
        if self.direction not in ("minimize", "maximize"):
            raise ValueError(f"direction must be minimize or maximize, got {self.direction}")
        if self.shuffle not in ("once", "every_epoch"):
            raise ValueError(f"shuffle must be once or every_epoch, got {self.shuffle}")
        unknown = [split for split in self.evaluated if split not in self.splits]
        if unknown or not self.evaluated:
            raise ValueError(
                f"evaluated must name at least one of the splits {', '.join(self.splits)}, "
                f"got {', '.join(self.evaluated) or 'none'}"
            )
        if self.objective.split("/")[0] not in self.evaluated:
            raise ValueError(
                f"objective must be a metric of an evaluated split ({', '.join(self.evaluated)}), "
                f"got {self.objective}"
            )

    def _check_micro_batch(self, size: int) -> None:
        if size < 1 or self.batch_size % size:
            raise ValueError(f"micro_batch must divide the batch of {self.batch_size}, got {size}")
        if self.couples_examples and size != self.batch_size:
            raise ValueError(
                f"micro_batch must be null: BatchNorm takes its statistics over the whole batch of "
                f"{self.batch_size}, and over {size} examples it would be another model; "
                "to need less memory, take a smaller batch_size"
            )

    def examples(self, split: str) -> int:
        """Number of examples of a split."""
        return int(jax.tree.leaves(self.splits[split])[0].shape[0])

    @property
    def steps(self) -> int:
        """Steps of a whole trial."""
        return self.epochs * (self.examples("train") // self.batch_size)

    @property
    def worst(self) -> float:
        """The value of a diverged trial: finite, so that samplers can rank it, and worse than any other."""
        limit = float(np.finfo(np.float32).max)
        return limit if self.direction == "minimize" else -limit
