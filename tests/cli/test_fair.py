"""The protocol ``fair``: what it searches, what it holds out, and what each optimizer contains."""

import functools

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from families import assert_trees_close, loss, parameters
from omegaconf import OmegaConf

from induced_metric.cli import build, protocols, spaces, values
from induced_metric.cli.factories import Factory
from induced_metric.data.releases import RELEASES
from induced_metric.errors import UserError

OPTIMIZERS = sorted(path.stem for path in (values.CONF / "optimizer").glob("*.yaml"))
FEW = [
    pytest.param(name, marks=[pytest.mark.exhaustive] * (name not in ("adamw", "lion", "novograd", "sgd")))
    for name in OPTIMIZERS
]
TASKS = sorted(path.stem for path in (values.CONF / "task").glob("*.yaml"))
MOMENTA = {"momentum", "beta1", "adam_b1"}
# The end of a hyperparameter's name, and whose range of conf/protocol/fair.yaml it has.
ROLES = {
    "b1": "beta1",
    "b2": "beta2",
    "b3": "beta2",
    "rho": "beta2",
    "max_learning_rate": "learning_rate",
    "weight_decay_rate": "weight_decay",
}
OTHER_ROLES = {
    "adan b2": "beta1",  # of the differences of gradients
    "momo beta": "momentum",
    "muon beta": "momentum",
    "muon_adaptive beta": "momentum",
    "muon_metric beta_muon": "momentum",
    "muon_rms beta": "momentum",
    "novograd b2": None,  # wider: its authors take 0.25
    "rmsprop direction.decay": "beta2",
    "sgd_nesterov direction.decay": "momentum",
}
WITHOUT_LEARNING_RATE = {"cocob"}
FIXED = {"muon_rms": {"consistent_rms"}, "sgd_metric_beta0": {"beta"}}  # what makes them what they are
# As their authors define it: in what is normalised, in the gradient, or by a step that they estimate.
DECAY_OF_ITS_OWN = {
    "adafactor", "cocob", "dadapt_adamw", "dog", "dowg", "lamb", "lars", "madgrad", "momo", "momo_adam",
    "novograd", "prodigy",
}  # fmt: skip
SPECIAL_CASES = {
    "sgd_metric": ("sgd", {}),
    "sgd_rms": ("adamw", {"momentum": "beta1", "beta_rms": "beta2"}),
    "adamw_metric": ("adamw", {}),
    "muon_metric": ("muon", {"beta_muon": "beta"}),
    "lion_metric": ("lion", {"beta1": "b1", "beta2": "b2"}),
    "sgd_metric_beta0": ("sgd", {}),
    "sgd_metric_leaf": ("sgd", {}),
}


@functools.cache
def compose(*overrides):
    with hydra.initialize_config_dir(str(values.CONF), version_base="1.3"):
        return hydra.compose("sweep", ["protocol=fair", *overrides])


def searched(optimizer, task="regression"):
    """The optimizer's factory and its search space."""
    cfg = compose(f"optimizer={optimizer}", f"task={task}")
    factory = Factory.of(OmegaConf.to_container(cfg.optimizer), "optimizer")
    return factory, spaces.search_space(cfg, factory, None, lambda **_: None)[0]


@pytest.mark.parametrize("optimizer", FEW)
def test_every_optimizer_is_searched_by_the_same_rules(optimizer):
    rules = OmegaConf.load(values.CONF / "protocol" / "fair.yaml").search_space
    factory, space = searched(optimizer)
    assert ("learning_rate" in space) != (optimizer in WITHOUT_LEARNING_RATE)
    assert {"weight_decay", "weight_decay_rate"} & set(space), (
        f"{optimizer} has no weight decay, which fair gives to all: induced_metric.optimizers.descend adds it"
    )
    fixed = {name for name in factory.numbers if name.rpartition(".")[2] == "eps"}
    assert set(space) == set(factory.numbers) - fixed - FIXED.get(optimizer, set())
    for name, dimension in space.items():
        bare = name.rpartition(".")[2]
        role = OTHER_ROLES.get(f"{optimizer} {name}", ROLES.get(bare, bare))
        if role in rules:
            assert vars(dimension) == vars(spaces._dimension(name, values.plain(rules[role]))), name


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_task_chooses_on_validation_and_measures_nothing_else(task):
    cfg = compose(f"task={task}", "optimizer=adamw")
    settings = OmegaConf.to_container(cfg.task, resolve=True)
    assert settings["eval_splits"] == ["validation"]
    assert settings["objective"].startswith("validation/")
    assert settings["shuffle"] == "every_epoch_bijection"
    assert (cfg.trials, cfg.pruner.name) == (cfg.budget.trials, None)
    confirmed = compose(f"task={task}", "optimizer=adamw", "sampler=confirmed")
    assert OmegaConf.to_container(confirmed.task, resolve=True)["eval_splits"] == ["validation", "test"]
    assert confirmed.trials == cfg.budget.get("seeds", 20) >= 20


@pytest.mark.parametrize("task", ["mnist", "mnist_small", "mnist_small_128", "cifar10", "cifar10_small"])
def test_validation_is_cut_from_the_training_part_of_the_release(task):
    settings = compose(f"task={task}").task
    release = RELEASES[task.partition("_")[0]].examples
    assert settings.validation_examples >= 2000
    assert settings.train_examples + settings.validation_examples <= release["train"]
    assert 2000 <= settings.test_examples <= release["test"]


@pytest.mark.parametrize("task", ["regression", "mnist_small"])
def test_a_task_has_a_second_size_that_its_name_says(task):
    small, large = (OmegaConf.to_container(compose(f"task={name}").task) for name in (task, f"{task}_128"))
    assert (large.pop("name"), large.pop("widths")[:2]) == (f"{task}_128", [128, 128])
    assert (small.pop("name"), small.pop("widths")[:2]) == (task, [32, 32])
    assert small == large


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", SPECIAL_CASES)
def test_an_optimizer_contains_the_one_that_it_extends(optimizer):
    other, names = SPECIAL_CASES[optimizer]
    (wide, space), (base, base_space) = searched(optimizer), searched(other)
    own = {name: names.get(name, name) for name in space if name not in ("xi", "beta")}
    assert set(own.values()) == set(base_space)
    for name, of_base in own.items():
        assert space[name] == base_space[of_base], name
    # At the lower end of the range of xi, every step is that of the other, to rounding.
    shared = {name: dimension.quantile(0.6) for name, dimension in space.items()} | {"learning_rate": 0.01}
    extended = wide(**wide.numbers | shared | {"xi": space["xi"].low})
    plain = base(**base.numbers | {of_base: shared[name] for name, of_base in own.items()})
    params, states = parameters(), None
    for _ in range(6):
        states = states or [extended.init(params), plain.init(params)]
        value, grads = jax.value_and_grad(loss)(params)
        updates, states[0] = extended.update(grads, states[0], params, value=value)
        expected, states[1] = plain.update(grads, states[1], params)
        assert_trees_close(updates, expected, rtol=2e-5, atol=1e-8)
        params = jax.tree.map(jnp.add, params, expected)


def test_the_step_of_heavy_ball_momentum_grows_to_the_sum_of_a_geometric_series():
    factory, _ = searched("sgd_metric")
    numbers = {"learning_rate": 0.1, "momentum": 0.5, "xi": 0.0, "beta": 0.8, "weight_decay": 0.0}
    optimizer = factory(**numbers)
    state, grads = optimizer.init(jnp.zeros(1)), jnp.ones(1)
    for _ in range(25):
        updates, state = optimizer.update(grads, state, jnp.zeros(1))
    assert float(updates[0]) == pytest.approx(-0.1 / (1 - 0.5), rel=1e-5)
    # As published: an average, and a step of the learning rate itself.
    average = factory.create(**numbers)
    updates, _ = average.update(grads, average.init(jnp.zeros(1)), jnp.zeros(1))
    assert float(updates[0]) == pytest.approx(-0.1, rel=1e-5)


@pytest.mark.parametrize("optimizer", FEW)
def test_weight_decay_is_decoupled_and_reaches_every_parameter_but_where_its_authors_differ(optimizer):
    factory, _ = searched(optimizer)
    rate, decay = 0.1, 0.01
    name = next((name for name in factory.numbers if name.startswith("weight_decay")), None)
    assert name, f"{optimizer} has no weight decay"
    rates = {"learning_rate": rate} if "learning_rate" in factory.numbers else {}
    changes = [
        optax.with_extra_args_support(factory(**factory.numbers | rates | {name: weight}))
        for weight in (0.0, decay)
    ]
    params = parameters()
    grads = jax.grad(loss)(params)
    found = []
    for change in changes:
        _, state = change.update(grads, change.init(params), params, value=1.0)
        found.append(change.update(grads, state, params, value=1.0)[0])  # momentum shows in the second
    without, with_decay = found
    expected = jax.tree.map(lambda update, leaf: update - rate * decay * leaf, without, params)
    if optimizer not in DECAY_OF_ITS_OWN:
        assert_trees_close(with_decay, expected, rtol=1e-5, atol=1e-7)
        return
    assert not all(
        jnp.allclose(ours, theirs, rtol=1e-5, atol=1e-7)
        for ours, theirs in zip(jax.tree.leaves(with_decay), jax.tree.leaves(expected), strict=True)
    )


def test_the_training_set_is_the_published_one_and_the_splits_are_disjoint():
    task = build.pairing(compose("task=regression", "optimizer=adamw")).task
    published = build.pairing(compose("task=regression", "optimizer=adamw", "protocol=paper")).task
    for ours, theirs in zip(task.splits["train"], published.splits["train"], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    points = np.concatenate([task.splits[split][0] for split in ("train", "validation", "test")])
    assert len(np.unique(points, axis=0)) == len(points) == 8192 + 2 * 20480
    fresh = np.concatenate([task.splits[split][1] for split in ("validation", "test")])
    assert abs(fresh.mean()) < 0.05  # standardised by the numbers of the published points
    assert 0.4 < fresh.std() < 1.4


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["pruner=hyperband"],
            "protocol fair gives every trial all its epochs: pruner must be none, got hyp",
        ),
        (
            ["protocol=paper", "sampler=confirmed"],
            "sampler confirmed measures winners on a split on which nothing was chosen, and protocol "
            "paper names none",
        ),
    ],
)
def test_what_a_protocol_does_not_allow_ends_in_one_sentence(overrides, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        protocols.check(compose(*overrides))
    assert "\n" not in str(error.value)


def test_an_optimizer_without_a_file_of_the_protocol_has_its_own_space_and_the_rules():
    # Any function of optax, as docs/adding.md adds one.
    cfg = compose(
        "optimizer=adamw",
        "optimizer._target_=optax.lion",
        "optimizer.name=lion",
        "~optimizer.beta1",
        "~optimizer.beta2",
        "~optimizer.eps",
        "+optimizer.b1=0.9",
        "+search_space.b1={low: 0.8, high: 0.99}",
    )
    factory = Factory.of(OmegaConf.to_container(cfg.optimizer), "optimizer")
    space, _ = spaces.search_space(cfg, factory, None, lambda **_: None)
    assert set(space) == {"learning_rate", "b1", "weight_decay"}
    assert (space["b1"].low, space["weight_decay"].low) == (0.8, 1e-8)
