"""Where lanes run and how wide they are: devices, layout, width and queue, chosen once per study."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax

from induced_metric.lanes.engine import Lanes, default_layout
from induced_metric.lanes.group import Assignment
from induced_metric.lanes.probe import MAPPED_WIDTH, MOST_WIDTH, Choice, faster, fastest, fitting
from induced_metric.lanes.program import Layout
from induced_metric.lanes.variants import Place, Shared

_QUEUE = 2  # one dispatch computes while the host serves the results of another
_MOST_STEPS = 20  # of a dispatch: a lane whose trial diverged computes on, or idles, for up to that many
_MOST_MEASURED = 200  # the same, where steps are known to be so short that the host could not keep up
# Seconds of a dispatch, if known: long enough for the host to keep up, short enough to notice a stop soon.
_SHORT, _LONG = 0.1, 1.0


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How the lanes of a study are placed on the devices; ``Lanes`` explains each setting.

    Attributes:
        width: lanes of a dispatch; ``auto`` takes two if they are mapped, and measures if they may be
            vmapped. A width that does not fit in memory is halved.
        queue: dispatches in flight per device; ``auto`` takes two.
        steps_per_dispatch: greatest number of steps that a lane runs between two reports to the host.
            ``auto`` takes 20; if it was measured how long these take, it takes more where that is less than a
            tenth of a second, and fewer where it is more than a second.
        layout: ``map``, ``vmap``, or ``auto``, which maps on a CPU and otherwise takes what is measured to be
            faster.
        data_parallel: number of devices that divide each batch of a trial; each such group has trials of its
            own. Unless it is 1, each number above that is ``auto`` is 1 on a CPU. ``auto`` takes one
            accelerator, or on a CPU the most devices that divide a batch evenly, for one trial at a time.
        trials: the most that will be under way at once, by default any number. No devices, lanes or
            dispatches are made for more: on an accelerator an idle lane computes as much as another.
        before: what ``lane_facts`` said of these lanes in an earlier run of the study, on the same device, so
            that what was measured is not measured again.
        exact: whether the program must be that of ``before``, or else have the width asked for, however few
            the trials. Lanes may then be idle: vmapped lanes of another width may give other last bits.

    Raises:
        ValueError: for a setting out of range.
    """

    width: int | Literal["auto"] = "auto"
    queue: int | Literal["auto"] = "auto"
    steps_per_dispatch: int | Literal["auto"] = "auto"
    layout: Layout = "auto"
    data_parallel: int | Literal["auto"] = 1
    trials: int | None = None
    before: Mapping[str, Any] | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        """Checks what needs no device."""
        for name in ("width", "queue", "steps_per_dispatch", "data_parallel"):
            value = getattr(self, name)
            if value != "auto" and value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}")

    def for_trials(self, trials: int, *, exact: bool = False) -> "Placement":
        """The same placement for this many trials at once."""
        return replace(self, trials=trials, exact=exact)

    def after(self, facts: Mapping[str, Any] | None) -> "Placement":
        """The same with a record's facts as ``before``, if such a device and this JAX made the record."""
        current = {"device": jax.devices()[0].device_kind}
        if not self.exact:  # how many there are changes what is fast, but no bit
            current["devices"] = len(jax.devices())
        if facts is None or any(facts.get(name) != value for name, value in current.items()):
            return self
        same = facts.get("versions", {}).get("jax") == jax.__version__
        return replace(self, before=facts.get("lanes")) if same else self

    def shards(self, examples: int) -> int:
        """The number of devices that divide each batch of ``examples``.

        Raises:
            ValueError: if this number does not divide that of all devices, or the batch.
        """
        devices = len(jax.devices())
        if self.data_parallel == "auto":
            return most_shards(devices, examples) if jax.default_backend() == "cpu" else 1
        if devices % self.data_parallel:
            raise ValueError(
                f"data_parallel must be auto or an integer that divides the {devices} devices, "
                f"got {self.data_parallel}"
            )
        if self.data_parallel > 1 and examples % self.data_parallel:
            raise ValueError(
                f"data_parallel must divide the {examples} examples computed at once (the batch, or its "
                f"micro-batches), got {self.data_parallel}"
            )
        return self.data_parallel

    def places(self, examples: int) -> Sequence[Place]:
        """The devices that train trials of their own, or meshes of devices that divide a trial's batches."""
        devices, shards = jax.devices(), self.shards(examples)
        if self.data_parallel == "auto" and jax.default_backend() == "cpu":
            devices = devices[:shards]  # one trial at a time: the devices of a CPU share its memory
        if shards == 1:
            return devices[: self.trials]
        meshes = [
            jax.NamedSharding(jax.sharding.Mesh(devices[start : start + shards], "data"), jax.P())
            for start in range(0, len(devices), shards)
        ]
        return meshes[: self.trials]

    def lanes(
        self, init: Callable[..., Any], advance: Callable[..., Any], *, trial: Assignment, examples: int = 1,
        static: Sequence[str] = (), shared: Shared = (),
    ) -> Lanes:  # fmt: skip
        """Makes the lanes.

        Args:
            init: as in ``Lanes``.
            advance: as in ``Lanes``.
            trial: an example of the trials, to measure with.
            examples: number of examples that are computed at once; the devices divide them.
            static: names of the hyperparameters whose values are static.
            shared: as in ``Lanes``.
        """
        places = self.places(examples)

        def make(layout: Layout, width: int, steps: int) -> Lanes:
            width, queue = self._fit(width, layout, len(places))
            return Lanes(
                init, advance, hyperparameters=[name for name in trial.hyperparameters if name not in static],
                static=static, shared=shared, devices=places, width=width, queue=queue,
                steps_per_dispatch=steps, layout=layout,
            )  # fmt: skip

        if self.exact and self.before is not None:
            return self._again(make, self.before, trial, len(places))
        # The program that is measured is the one that is then used: its compilation is cached.
        measured = functools.partial(make, steps=self._compiled(trial, measured=True))
        choice = self._choice(len(places), measured, trial)
        compiled = self._compiled(trial, measured=bool(choice.rates))
        # Mapped lanes hold hardly more than their states: of as few as are chosen, all fit.
        tried = bool(static) and (choice.layout == "vmap" or self.width != "auto")
        lanes, width = fitting(
            lambda width: make(choice.layout, width, compiled),
            self._remembered(choice.width),
            trial if tried else None,
        )
        lanes.steps_per_dispatch = self._steps(choice, len(places), compiled)
        if choice.rates:
            lanes.facts["measured"] = choice._asdict()
        if width < choice.width:
            lanes.facts |= {"asked": choice.width, "fits": width}
        if self.exact:
            lanes.facts["steps"] = compiled
        return lanes

    def _again(
        self,
        make: Callable[[Layout, int, int], Lanes],
        before: Mapping[str, Any],
        trial: Assignment,
        places: int,
    ) -> Lanes:
        """Makes the lanes of ``before``, some of which may have no trial.

        Raises:
            ValueError: if other lanes are asked for.
        """
        layout, width = before["layout"], before["width"]
        if self.layout not in ("auto", layout) or self.width not in ("auto", width, before.get("asked")):
            raise ValueError(
                f"layout and width must be auto, or {layout} and {width}, with which the deterministic "
                f"records were made, got {self.layout} and {self.width}"
            )
        choice = Choice(**before["measured"]) if "measured" in before else Choice(layout, width, {}, width)
        steps = before.get("steps", self._compiled(trial, measured=bool(choice.rates)))
        lanes = make(layout, width, steps)
        most = steps if self.steps_per_dispatch == "auto" else min(self.steps_per_dispatch, steps)
        lanes.steps_per_dispatch = min(most, self._steps(choice, places, steps))
        kept = {name: before[name] for name in ("measured", "asked", "fits") if name in before}
        lanes.facts |= kept | {"steps": steps}
        return lanes

    @property
    def _alone(self) -> bool:
        """Whether one trial at a time keeps its devices, which are cores of a CPU, busy."""
        return self.data_parallel != 1 and jax.default_backend() == "cpu"

    def _choice(self, places: int, make: Callable[[Layout, int], Lanes], trial: Assignment) -> Choice:
        """Layout and width: as asked, as suits the device, as measured earlier, or as measured now."""
        most = MOST_WIDTH if self.trials is None else min(-(-self.trials // places), MOST_WIDTH)
        maps = self.layout == "map" or (self.layout == "auto" and default_layout() == "map")
        if self.width != "auto":
            width = self.width if self.exact else min(self.width, most)
            if maps or width == 1 or self.layout == "vmap":
                return Choice(self.layout, self.width, {}, most)
            measured = self._known()
            if measured is not None and measured.width == self.width:
                return measured
            return faster(make, trial, width)._replace(width=self.width)
        if maps:
            return Choice(self.layout, 1 if self._alone else MAPPED_WIDTH, {}, most)
        measured = self._known()
        if measured is not None and measured.suffices(most):
            return measured
        return fastest(make, trial, ["vmap"] if self.layout == "vmap" else ["map", "vmap"], most=most)

    def _known(self) -> Choice | None:
        """The choice that was measured earlier; None if there is none that applies."""
        if self.before and self.layout in ("auto", self.before["layout"]) and "measured" in self.before:
            return Choice(**self.before["measured"])
        return None

    def _remembered(self, width: int) -> int:
        """How many of ``width`` lanes fitted in memory earlier."""
        if self.before and self.before.get("asked") == width:
            return int(self.before["fits"])
        return width

    def _compiled(self, trial: Assignment, *, measured: bool) -> int:
        """The greatest number of steps of a dispatch that the program is made for."""
        if self.steps_per_dispatch != "auto":
            return self.steps_per_dispatch
        if self._alone:
            return 1
        return max(1, min(_MOST_MEASURED, trial.steps)) if measured else _MOST_STEPS

    def _steps(self, choice: Choice, places: int, compiled: int) -> int:
        """Steps of a dispatch, at most those that the program is made for."""
        if self.steps_per_dispatch != "auto" or choice.seconds_per_step is None:
            return compiled
        seconds = choice.seconds_per_step * places
        most = max(_MOST_STEPS, int(_SHORT / seconds))
        return max(1, min(compiled, most, int(_LONG / seconds)))

    def _fit(self, width: int, layout: Layout, places: int) -> tuple[int, int]:
        """Width and queue of each device, for its share of the trials."""
        most = self.queue if self.queue != "auto" else 1 if self._alone else _QUEUE
        if self.trials is None:
            return width, most
        trials = -(-self.trials // places)
        if self.exact and (self.before is not None or self.width != "auto"):
            return width, min(most, -(-trials // width))
        if (default_layout() if layout == "auto" else layout) == "vmap":
            # A wider dispatch takes hardly longer, so a few trials share one.
            width = min(width, trials)
            return width, min(most, -(-trials // width))
        queue = min(most, trials)  # one computes while the host serves another
        return min(width, -(-trials // queue)), queue


def most_shards(devices: int, examples: int) -> int:
    """The greatest number of devices, up to ``devices``, that can divide ``examples`` evenly."""
    return max(count for count in range(1, devices + 1) if examples % count == 0)
