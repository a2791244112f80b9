"""The lane engine: the same trial in any lane, refills, divergence, early ends, plain users."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import induced_metric
from induced_metric.lanes import Assignment, Lanes
from induced_metric.lanes.probe import faster, fastest, fitting
from induced_metric.training.epoch import init_trial, train_epoch

NAMES = ("learning_rate", "momentum")


def run(lanes, assignments, keep=lambda report: True, stride=None):
    """Runs assignments; returns the joined reports of each trial."""
    waiting, reports = iter(assignments), {}

    def tell(news):
        for report in news:
            reports.setdefault(report.trial, []).append(report)
        return [keep(report) for report in news]

    lanes.run(lambda: next(waiting, None), tell, stride=stride)
    return reports


def curve(reports, name="test/loss"):
    return np.concatenate([report.metrics[name] for report in reports])


def training_lanes(task, **options):
    optimizer = induced_metric.sgd
    return Lanes(
        lambda hyperparameters, seed, data: init_trial(task, optimizer, hyperparameters, seed),
        lambda state, hyperparameters, data: train_epoch(task, optimizer, state, hyperparameters, data),
        hyperparameters=NAMES,
        shared=(task.splits,),
        **{"steps_per_dispatch": 3, **options},
    )


def assignments(number, epochs=6):
    """Trials with different hyperparameters, the seed being 100 + trial."""
    return [
        Assignment(k, {"learning_rate": 0.01 * (1 + k % 5), "momentum": 0.1 * (k % 7)}, 100 + k, epochs)
        for k in range(number)
    ]


@pytest.fixture(scope="module")
def lanes(tiny_task):
    with training_lanes(tiny_task) as lanes:
        yield lanes


@pytest.fixture(scope="module")
def alone(tiny_task):
    """The curves of eleven trials, each run alone, one epoch a dispatch, as train.py does."""
    with training_lanes(tiny_task, devices=jax.devices()[:1], queue=1) as lanes:
        return [curve(run(lanes, [a], stride=1)[a.trial]) for a in assignments(11)]


def test_uses_two_devices():
    assert len(jax.devices()) == 2


def test_a_trial_is_the_same_bits_in_any_lane_and_alone(lanes, alone):
    for order in (range(11), reversed(range(11)), (5, 0, 9, 2, 7, 1, 10, 3, 8, 4, 6)):
        trials = assignments(11)
        reports = run(lanes, [trials[k] for k in order])
        for k in range(11):
            np.testing.assert_array_equal(curve(reports[k]), alone[k])


def test_a_trial_does_not_notice_its_neighbours(lanes, alone):
    trials = assignments(11)
    wild = Assignment("wild", {"learning_rate": 1e9, "momentum": 0.9}, 7, 6)
    short = Assignment("short", {"learning_rate": 0.1, "momentum": 0.0}, 8, 1)
    reports = run(lanes, [wild, trials[3], short, wild._replace(trial="wild 2"), trials[4]])
    np.testing.assert_array_equal(curve(reports[3]), alone[3])
    np.testing.assert_array_equal(curve(reports[4]), alone[4])


def test_vmapped_lanes_agree_within_rounding(tiny_task, alone):
    with training_lanes(tiny_task, layout="vmap", width=3) as lanes:
        reports = run(lanes, assignments(11))
    for k in range(11):
        np.testing.assert_allclose(curve(reports[k]), alone[k], rtol=1e-4)


def test_the_order_of_reports_is_reproducible(lanes):
    def log():
        seen = []
        run(lanes, assignments(9), keep=lambda report: bool(seen.append((report.trial, report.done))) or True)
        return seen

    assert log() == log()


def test_a_resumed_trial_is_reported_after_the_same_steps_as_the_others():
    """Else a study that goes on with longer dispatches would carry it past a rung."""

    def count(x, hyperparameters):
        return x + 1, {"x": x}

    with Lanes(lambda h, seed: jnp.float32(0), count, hyperparameters=[], steps_per_dispatch=9) as lanes:
        resumed = Assignment(0, {}, 0, 30, done=5, state=np.float32(5))
        reports = run(lanes, [resumed, Assignment(1, {}, 0, 30)])
    assert [[report.done for report in reports[k]] for k in (0, 1)] == [[9, 18, 27, 30]] * 2
    assert curve(reports[0], "x").tolist() == list(range(5, 30))


def test_a_diverged_trial_stops_and_reports_its_last_epoch(lanes):
    reports = run(lanes, [Assignment(0, {"learning_rate": 1e9, "momentum": 0.9}, 7, 6)])[0]
    assert reports[-1].halted
    assert reports[-1].finished
    values = curve(reports)
    assert len(values) < 6
    assert np.isfinite(values[:-1]).all()
    assert not np.isfinite(values[-1])


def test_a_lane_freed_early_is_refilled(lanes, alone):
    reports = run(lanes, assignments(11), keep=lambda report: report.trial % 2 == 0)
    for k in range(11):
        expected = alone[k] if k % 2 == 0 else alone[k][:3]
        np.testing.assert_array_equal(curve(reports[k]), expected)


def test_seconds_are_measured_for_every_step(lanes):
    reports = run(lanes, assignments(3))
    for trial in reports.values():
        seconds = np.concatenate([report.seconds for report in trial])
        assert seconds.shape == (6,)
        assert (seconds > 0).all()
    assert lanes.compile_seconds > 0


def test_one_program_serves_all_hyperparameters(tiny_task):
    traces = []

    def advance(state, hyperparameters, data):
        traces.append(1)
        return train_epoch(tiny_task, induced_metric.sgd, state, hyperparameters, data)

    with Lanes(
        lambda h, s, data: init_trial(tiny_task, induced_metric.sgd, h, s),
        advance,
        hyperparameters=NAMES,
        shared=(tiny_task.splits,),
        steps_per_dispatch=3,
    ) as lanes:
        before = len(traces)
        run(lanes, assignments(9))
        run(lanes, assignments(5, epochs=2), stride=1)
    assert len(traces) == before


def test_any_program_of_this_shape_runs():
    """Newton's iteration for a square root, halted when it has converged."""
    with Lanes(
        lambda h, seed: jnp.float32(1.0),
        lambda x, h: ((x + h["a"] / x) / 2, {"error": abs(x * x - h["a"])}),
        hyperparameters=["a"],
        steps_per_dispatch=50,
        halt=lambda metrics: metrics["error"] < 1e-5,
    ) as lanes:
        reports = run(lanes, [Assignment(a, {"a": a}, 0, 50) for a in (2.0, 3.0, 10.0, 0.5, 7.0)])
    for trial in reports.values():
        assert trial[-1].halted
        assert trial[-1].done < 12


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"width": 0}, "width, queue and steps_per_dispatch must be >= 1"),
        ({"queue": 0}, "must be >= 1"),
        ({"steps_per_dispatch": 0}, "must be >= 1"),
        ({"layout": "pmap"}, "layout must be auto, map or vmap"),
    ],
)
def test_settings_out_of_range_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Lanes(lambda h, s: 0.0, lambda x, h: (x, {}), hyperparameters=[], **options)


class Clock:
    """Stands still but for what it is told."""

    now = 0.0

    def __call__(self):
        return self.now


class Timed:
    """Lanes that do so many steps a second, by a clock of their own.

    None for too many to fit in memory, 0 for too many once they run.
    """

    def __init__(self, width, rate, clock):
        if rate is None:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        self.capacity, self._rate, self._clock = width, rate, clock
        self.steps_per_dispatch, self.warm = 20, False  # kernels are loaded the first time

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run_all(self, trials):
        assert [trial.trial for trial in trials] == list(range(self.capacity))
        steps = {trial.steps for trial in trials}
        assert steps <= set(range(1, self.steps_per_dispatch + 1))
        if self._rate == 0:
            raise ValueError("RESOURCE_EXHAUSTED: out of memory")  # as JAX does after a first call
        self._clock.now += sum(trial.steps for trial in trials) / self._rate + (0 if self.warm else 9)
        self.warm = True


ONE, BOTH = ["vmap"], ["map", "vmap"]


@pytest.mark.parametrize(
    ("layouts", "rates", "most", "chosen"),
    [
        (ONE, {"vmap 1": 10, "vmap 4": 35, "vmap 16": 37}, 256, ("vmap", 4)),
        # Four times as many do a little more: perhaps twice as many do as well.
        (ONE, {"vmap 1": 10, "vmap 4": 40, "vmap 16": 46, "vmap 8": 45}, 256, ("vmap", 8)),
        (ONE, {"vmap 1": 10, "vmap 4": 40, "vmap 16": 46, "vmap 8": 43}, 256, ("vmap", 4)),
        (ONE, {"vmap 1": 10, "vmap 4": 10.9}, 256, ("vmap", 1)),
        (ONE, {"vmap 1": 10, "vmap 4": 40}, 4, ("vmap", 4)),
        (ONE, {"vmap 1": 10, "vmap 3": 30}, 3, ("vmap", 3)),
        (ONE, {"vmap 1": 10, "vmap 4": 40, "vmap 16": 160, "vmap 40": 380}, 40, ("vmap", 40)),
        (ONE, {"vmap 1": 10, "vmap 4": None, "vmap 2": 19}, 256, ("vmap", 2)),
        (ONE, {"vmap 1": 10, "vmap 4": None, "vmap 2": None}, 256, ("vmap", 1)),
        (ONE, {"vmap 1": 10, "vmap 4": 40, "vmap 16": 0, "vmap 8": 43}, 256, ("vmap", 4)),
        (ONE, {}, 1, ("vmap", 1)),
        # As convolutions do: vmapped they are grouped, and slower than one after the other.
        (BOTH, {"map 1": 10, "vmap 4": 4}, 256, ("map", 2)),
        (BOTH, {"map 1": 10, "vmap 4": None, "vmap 2": None}, 256, ("map", 2)),
        (BOTH, {"map 1": 10, "vmap 4": 37, "vmap 16": 38}, 256, ("vmap", 4)),
        (BOTH, {}, 1, ("map", 1)),
    ],
)
def test_the_probe_stops_where_more_lanes_do_hardly_more_work(layouts, rates, most, chosen):
    clock, made = Clock(), []

    def make(layout, width):
        made.append(f"{layout} {width}")
        return Timed(width, rates[made[-1]], clock)

    found = fastest(make, assignments(1)[0], layouts, most=most, clock=clock)
    assert (found.layout, found.width) == chosen
    assert made == list(rates)
    assert found.rates == pytest.approx({name: rate for name, rate in rates.items() if rate})


@pytest.mark.parametrize(
    ("rates", "layout"),
    [
        ({"map 1": 10, "vmap 8": 11}, "vmap"),
        ({"map 1": 10, "vmap 8": 9}, "map"),
        ({"map 1": 10, "vmap 8": None, "vmap 4": 20}, "vmap"),
        ({"map 1": 10, "vmap 8": None, "vmap 4": None, "vmap 2": None}, "map"),
    ],
)
def test_of_a_width_that_was_asked_for_the_layout_is_measured(rates, layout):
    clock, made = Clock(), []

    def make(layout, width):
        made.append(f"{layout} {width}")
        return Timed(width, rates[made[-1]], clock)

    found = faster(make, assignments(1)[0], 8, clock=clock)
    assert (found.layout, found.width) == (layout, 8)
    assert made == list(rates)


def test_the_probe_does_not_hide_that_not_even_one_lane_fits():
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        fastest(lambda _, width: Timed(width, None, Clock()), assignments(1)[0], ONE)


def test_what_was_measured_for_a_few_trials_does_not_suffice_for_more():
    clock = Clock()
    for most, enough in ((4, False), (64, True)):
        found = fastest(
            lambda _, width: Timed(width, min(width, 10), clock),
            assignments(1)[0],
            ONE,
            most=most,
            clock=clock,
        )
        assert found.suffices(most)
        assert found.suffices(256) == enough


def test_lanes_that_do_not_fit_in_memory_are_halved_and_that_is_said():
    def make(width):
        return Timed(width, None if width > 5 else 1.0, Clock())

    with pytest.warns(UserWarning, match="lanes do not fit in the memory") as said:
        lanes, width = fitting(make, 24)
    assert (lanes.capacity, width) == (3, 3)
    assert [str(each.message).split()[0] for each in said] == ["24", "12", "6"]
    with pytest.raises(jax.errors.JaxRuntimeError), pytest.warns(UserWarning, match="2 lanes"):
        fitting(lambda width: Timed(width, None, Clock()), 2)


def test_the_probe_runs_real_lanes_all_of_them(tiny_task):
    clock, made = Clock(), []

    def make(layout, width):
        made.append(training_lanes(tiny_task, layout=layout, width=width, devices=jax.devices()[:1], queue=1))
        clock.now += 1  # whatever is measured took no time before it was made
        run_all, runs = made[-1].run_all, []

        def counted(trials):
            found = run_all(trials)
            runs.append({len(curve["seconds"]) for curve in found.values()})
            assert sorted(found) == list(range(width))
            clock.now += 5 if len(runs) == 1 else 1  # the first also loads kernels
            return found

        made[-1].run_all, made[-1].runs = counted, runs
        return made[-1]

    # Two lanes in the time of one do twice the work.
    found = fastest(make, assignments(1)[0], BOTH, most=2, clock=clock)
    assert [(lanes.layout, lanes.width) for lanes in made] == [("map", 1), ("vmap", 2)]
    assert [lanes.runs for lanes in made] == [[{2}, {2}]] * 2
    assert found.rates == {"map 1": 2, "vmap 2": 4}
    assert found.seconds_per_step == 0.5


def test_what_takes_no_time_is_measured_longer_and_again():
    clock, runs = Clock(), []

    class Counted(Timed):
        def run_all(self, trials):
            runs.append(trials[0].steps)
            super().run_all(trials)

    found = fastest(
        lambda _, width: Counted(width, 500.0, clock), assignments(1)[0], ONE, most=4, clock=clock
    )
    assert found.rates == pytest.approx({"vmap 1": 500, "vmap 4": 500})
    # Two steps take 4 and 16 ms; all six of the trial less than the tenth of a second that is aimed at.
    assert runs == [2, 2, *[6] * 3, 2, 2, *[6] * 3]


def test_what_fails_while_it_is_measured_is_no_fast_program(tiny_task):
    def make(layout, width):
        def init(hyperparameters, seed):
            return jnp.float32(0)

        def advance(state, hyperparameters):
            raise ZeroDivisionError("never")

        return Lanes(init, advance, hyperparameters=["rate"], static=["eps"], width=width, layout=layout)

    trial = assignments(1)[0]._replace(hyperparameters={"rate": 1.0, "eps": 1e-8})
    with pytest.raises(ZeroDivisionError):
        fastest(make, trial, ONE, most=2)


def test_lanes_that_cannot_be_made_leave_no_thread(tiny_task):
    def fails(state, hyperparameters):
        raise ZeroDivisionError("never")

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        Lanes(lambda h, s: jnp.float32(0), fails, hyperparameters=[])
    assert threading.active_count() == before


def test_a_sharding_spreads_one_trial_over_devices(tiny_task, alone):
    mesh = jax.sharding.Mesh(jax.devices(), "data")
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    with training_lanes(tiny_task, devices=[everywhere], layout="vmap") as lanes:
        reports = run(lanes, assignments(3))
    for k in range(3):
        np.testing.assert_allclose(curve(reports[k]), alone[k], rtol=1e-4)


def test_vmapped_lanes_are_initialised_only_when_a_trial_starts():
    calls = []

    def init(h, seed):
        jax.debug.callback(lambda _: calls.append(1), seed)
        return h["a"] + seed

    def initialised(layout):
        """The curves, and how often ``init`` had run before the first report and after each."""
        calls.clear()
        counts = []

        def count(_=None):
            jax.effects_barrier()
            counts.append(len(calls))
            return True

        # Four dispatches: all start, all go on and two end, one starts beside one that ends, it ends.
        steps = {"a": 6, "b": 4, "c": 4, "later": 4}
        trials = [Assignment(name, {"a": k + 1.0}, k, n) for k, (name, n) in enumerate(steps.items())]
        with Lanes(
            init,
            lambda x, h: (x / 2 + h["a"], {"x": x}),
            hyperparameters=["a"],
            devices=jax.devices()[:1],
            queue=1,
            width=3,
            steps_per_dispatch=2,
            layout=layout,
        ) as lanes:
            count()
            reports = run(lanes, trials, keep=count)
        return {name: curve(reports[name], "x").tolist() for name in steps}, counts

    # One count an idle dispatch that compiles, and one a report.
    mapped, counts = initialised("map")
    assert counts == [0, *[3] * 3, *[3] * 3, *[4] * 2, 4]
    vmapped, counts = initialised("vmap")
    assert counts == [0, *[3] * 3, *[3] * 3, *[6] * 2, 6]
    assert vmapped == mapped
