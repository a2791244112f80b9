"""What a task is: data splits, a model with its loss, and the metric that is to be optimised."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import jax
import numpy as np

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
        loss: ``loss(params, model_state, batch, key) -> (mean loss, model_state)``, in training mode;
            ``key`` is for dropout.
        metrics: ``metrics(params, model_state, batch) -> {name: mean over the batch}``, in evaluation mode.
        evaluated: the splits on which ``metrics`` is measured after every epoch.
        objective: the metric to optimise, named after its split: ``test/loss``.
        direction: whether the objective is to be minimised or maximised.
        epochs: epochs of one trial.
        batch_size: examples of a step; a remainder of the training split is dropped.
        shuffle: whether the training examples are put in a new order once a trial or before every epoch.
        finish: applied to the means over a split, by split: ``{name: value} -> {name: value}``; a
            perplexity is the exponential of the mean loss and no mean of its own.
    """

    name: str
    splits: Mapping[str, Batch]
    init: Callable[[jax.Array], tuple[Params, ModelState]]
    loss: Callable[[Params, ModelState, Batch, jax.Array], tuple[jax.Array, ModelState]]
    metrics: Callable[[Params, ModelState, Batch], dict[str, jax.Array]]
    evaluated: tuple[str, ...]
    objective: str
    direction: Literal["minimize", "maximize"]
    epochs: int
    batch_size: int
    shuffle: Literal["once", "every_epoch"] = "once"
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

    def examples(self, split: str) -> int:
        """Number of examples of a split."""
        return int(jax.tree.leaves(self.splits[split])[0].shape[0])

    @property
    def worst(self) -> float:
        """The value of a diverged trial: finite, so that samplers can rank it, and worse than any other."""
        limit = float(np.finfo(np.float32).max)
        return limit if self.direction == "minimize" else -limit
