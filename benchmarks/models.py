"""Seconds and memory of a training step of the GPT and of ResNet-18: ours compared with plain flax.

Run: python benchmarks/models.py [rounds] [gpt|gpt256|resnet|resnet1024 ...]. Ours is the step of
``train_epoch``, with its batch divided over the cores as the lanes of these tasks do. Plain is what one would
write with flax's own layers and optax, jitted and called from Python. gpt256 is the published batch, for ours
in parts and for plain in one piece, which takes 8 GiB; resnet1024 is also the published batch, 10 GiB. The
inputs are random, so no data set is needed.
"""

import sys
from functools import partial

from interleave import interleave, serve

CASES = {
    # batch, examples computed at once by ours
    "gpt": (32, 8),
    "gpt256": (256, 8),
    "resnet": (64, None),
    "resnet1024": (1024, None),
}
STEPS = 2  # steps per unit of work
RESNET_18 = {"widths": (64, 128, 256, 512), "blocks": 2}
GPT_SIZES = {"vocab_size": 65, "context": 256, "layers": 4, "heads": 4, "embed_dim": 128, "dropout": 0.1}


def _inputs(case, batch):
    import jax

    if case.startswith("resnet"):
        return (
            jax.random.randint(jax.random.key(0), (batch, 32, 32, 3), 0, 256, "uint8"),
            jax.random.randint(jax.random.key(1), (batch,), 0, 10),
        )
    return jax.random.randint(jax.random.key(0), (batch, 257), 0, 65, "uint8")


def ours(requests, case):
    """An epoch of ``STEPS`` batches, whose evaluation does almost nothing."""
    from induced_metric import xla

    xla.configure()
    import jax
    import jax.numpy as jnp

    import induced_metric
    from induced_metric.lanes.placement import most_shards
    from induced_metric.models.gpt import GPT
    from induced_metric.models.losses import cross_entropy
    from induced_metric.models.resnet import ResNet
    from induced_metric.tasks.base import Task
    from induced_metric.tasks.images import pixels
    from induced_metric.training.epoch import init_trial, train_epoch

    batch, micro_batch = CASES[case]
    train = _inputs(case, STEPS * batch)
    if case.startswith("resnet"):
        model = ResNet(**RESNET_18)

        def init(key):
            variables = model.init(key, jnp.zeros((1, 32, 32, 3)), train=False)
            return variables["params"], variables["batch_stats"]

        def loss(params, model_state, examples, _):
            logits, changed = model.apply(
                {"params": params, "batch_stats": model_state},
                pixels(examples[0]),
                train=True,
                mutable=["batch_stats"],
            )
            return cross_entropy(logits, examples[1]), (changed["batch_stats"], {})
    else:
        model = GPT(**GPT_SIZES)

        def init(key):
            return model.init(key, jnp.zeros((1, 256), jnp.int32))["params"], {}

        def loss(params, model_state, examples, keys):
            tokens = examples.astype(jnp.int32)
            logits = model.apply({"params": params}, tokens[:, :-1], keys)
            return cross_entropy(logits, tokens[:, 1:]), (model_state, {})

    task = Task(
        name=case,
        splits={"train": train, "test": jax.tree.map(lambda array: array[:1], train)},
        init=init,
        loss=loss,
        metrics=lambda *_: {"loss": jnp.zeros([])},
        eval_splits=("test",),
        objective="test/loss",
        direction="minimize",
        epochs=1,
        batch_size=batch,
        shuffle="once",
        precision="float32",
        micro_batch=micro_batch,
    )
    hyperparameters = {"learning_rate": 1e-3}
    state = init_trial(task, induced_metric.adam, hyperparameters, 0)
    epoch = jax.jit(
        lambda state, data: train_epoch(task, induced_metric.adam, state, hyperparameters, data),
        donate_argnums=0,
    )

    devices = jax.devices()[: most_shards(jax.device_count(), micro_batch or batch)]
    everywhere = jax.NamedSharding(jax.sharding.Mesh(devices, "data"), jax.P())
    state, data = jax.device_put((state, task.splits), everywhere)

    def work():
        nonlocal state
        with jax.set_mesh(everywhere.mesh):
            state, _ = jax.block_until_ready(epoch(state, data))

    serve(requests, work, units=STEPS)


def plain(requests, case):
    import jax
    import jax.numpy as jnp
    import optax
    from flax import linen as nn

    from induced_metric.models.resnet import ResNet  # the same layers; with flax's own convolution below

    batch, _ = CASES[case]

    class GPT(nn.Module):
        @nn.compact
        def __call__(self, tokens, train):
            x = nn.Embed(65, 128)(tokens) + nn.Embed(256, 128)(jnp.arange(256))
            x = nn.Dropout(0.1, deterministic=not train)(x)
            mask = nn.make_causal_mask(tokens)
            for _ in range(4):
                y = nn.MultiHeadDotProductAttention(num_heads=4, dropout_rate=0.1, deterministic=not train)(
                    nn.LayerNorm()(x), mask=mask
                )
                x = x + nn.Dropout(0.1, deterministic=not train)(y)
                y = nn.Dense(128)(nn.gelu(nn.Dense(512)(nn.LayerNorm()(x))))
                x = x + nn.Dropout(0.1, deterministic=not train)(y)
            return nn.Dense(65)(nn.LayerNorm()(x))

    examples = _inputs(case, batch)
    if case.startswith("resnet"):
        import induced_metric.models.resnet as resnet

        resnet.convolve = jax.lax.conv_general_dilated
        model = ResNet(**RESNET_18)
        variables = model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False)
        images, labels = examples[0].astype(jnp.float32) / 255, examples[1]

        def loss(params, model_state, key):
            del key
            logits, changed = model.apply(
                {"params": params, "batch_stats": model_state}, images, train=True, mutable=["batch_stats"]
            )
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), changed[
                "batch_stats"
            ]
    else:
        model = GPT()
        tokens = examples.astype(jnp.int32)
        variables = model.init(jax.random.key(0), tokens[:1, :-1], train=False)

        def loss(params, model_state, key):
            logits = model.apply({"params": params}, tokens[:, :-1], train=True, rngs={"dropout": key})
            return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean(), model_state

    optimizer = optax.adam(1e-3)
    params, model_state = variables["params"], variables.get("batch_stats", {})
    opt_state, key = optimizer.init(params), jax.random.key(1)

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(params, model_state, opt_state, key):
        key, now = jax.random.split(key)
        (_, model_state), grads = jax.value_and_grad(loss, has_aux=True)(params, model_state, now)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), model_state, opt_state, key

    def work():
        nonlocal params, model_state, opt_state, key
        for _ in range(STEPS):
            params, model_state, opt_state, key = step(params, model_state, opt_state, key)
        jax.block_until_ready(params)

    serve(requests, work, units=STEPS)


def main():
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    rounds = numbers[0] if numbers else 3
    cases = [argument for argument in sys.argv[1:] if argument in CASES] or ["gpt", "resnet"]
    print(
        f"{'seconds per step, median of ' + str(rounds):28} {'plain':>8} {'ours':>8} {'ratio':>8}  peak GiB"
    )
    for case in cases:
        sides = {side.__name__: partial(side, case=case) for side in (plain, ours)}
        measured = interleave(sides, rounds=rounds)
        seconds = {name: side.median for name, side in measured.items()}
        peaks = f"{measured['plain'].peak:8.2f} {measured['ours'].peak:.2f}"
        ratio = seconds["plain"] / seconds["ours"]
        print(
            f"{case + ' at batch ' + str(CASES[case][0]):28} {seconds['plain']:8.2f} {seconds['ours']:8.2f} "
            f"{ratio:7.2f}x {peaks}",
            flush=True,
        )


if __name__ == "__main__":
    main()
