"""Shakespeare: windows, vocabulary, splits, perplexity over tokens, and the drawn validation sequences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from induced_metric.tasks.shakespeare import windows


def decode(synthetic, sequences):
    characters = sorted(set("".join(synthetic["texts"].values())))
    return ["".join(characters[token] for token in sequence) for sequence in sequences]


def test_windows_do_not_overlap_and_know_what_follows():
    cut = windows(np.arange(11), 3)
    np.testing.assert_array_equal(cut, [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]])
    assert len(windows(np.arange(10), 3)) == 3  # the last target is the last token
    assert len(windows(np.arange(9), 3)) == 2


def test_the_last_tenth_is_validation_and_there_is_no_test_split(build, synthetic):
    task = build("shakespeare")
    assert sorted(task.splits) == ["train", "validation"]
    texts = synthetic["texts"]
    train = decode(synthetic, task.splits["train"])
    assert "".join(sequence[:-1] for sequence in train) == texts["train"][: 16 * len(train)]
    validation = decode(synthetic, task.splits["validation"])
    held_out = texts["validation"] + texts["test"]
    assert "".join(sequence[:-1] for sequence in validation) == held_out[: 16 * len(validation)]


def test_a_test_split_can_be_had(build, synthetic):
    task = build("shakespeare", test_split=True, eval_splits=("validation", "test"))
    assert sorted(task.splits) == ["test", "train", "validation"]
    assert decode(synthetic, task.splits["test"][:1])[0] == synthetic["texts"]["test"][:17]
    assert [task.num_sampled(split) for split in ("train", "validation", "test")] == [None, 10, 10]


@pytest.mark.slow
def test_perplexity_is_that_of_the_mean_over_all_tokens(build, start):
    task = build("shakespeare", evaluated_sequences=None, micro_batch=None, batch_size=15)
    trial, sequences = start(task), task.splits["validation"]
    assert len(sequences) % 15  # the last batch is smaller
    loss = float(task.metrics(trial.state.params, {}, sequences)["loss"])
    metrics = trial.epoch()
    assert metrics["validation/loss"] == pytest.approx(loss, rel=1e-5)
    assert metrics["validation/perplexity"] == pytest.approx(np.exp(loss), rel=1e-5)


def test_a_perplexity_too_large_for_a_float_is_finite_while_the_loss_is(build):
    finish = build("shakespeare").finish
    assert np.isfinite(finish({"loss": jnp.float32(200)})["perplexity"])
    assert not np.isfinite(finish({"loss": jnp.float32(np.nan)})["perplexity"])


@pytest.mark.slow
def test_each_trial_draws_its_validation_sequences_and_keeps_them(build, start):
    trial = start(build("shakespeare", evaluated_sequences=1), seed=1)
    first = trial.epoch()["validation/loss"]
    assert trial.epoch()["validation/loss"] == first
    # With the same parameters, other seeds measure other sequences: each of them one of the split.
    others = [trial.epoch(trial.state._replace(seed=jnp.uint32(seed)))["validation/loss"] for seed in (2, 3)]
    assert len({first, *others}) == 3
    sequences, params = trial.task.splits["validation"], trial.state.params
    losses = [
        float(trial.task.metrics(params, {}, sequences[k : k + 1])["loss"]) for k in range(len(sequences))
    ]
    for loss in (first, *others):
        assert min(abs(np.array(losses) - loss)) < 1e-5


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"heads": 3}, "embed_dim must be a multiple of the 3 heads, got 8"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"layers": 0}, "context, layers, heads and embed_dim must be >= 1"),
        ({"train_sequences": 10**6}, "train_sequences must be between 1 and"),
        ({"evaluated_sequences": 0}, "sampled must be between 1 and all"),
        ({"evaluated_sequences": 10**6}, "sampled must be between 1 and all"),
        ({"objective": "test/perplexity"}, "objective must be a metric of an evaluated split"),
    ],
)
def test_settings_out_of_range_are_refused(build, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        build("shakespeare", **settings)


def test_training_can_take_the_first_sequences(build):
    whole, part = build("shakespeare"), build("shakespeare", train_sequences=20)
    np.testing.assert_array_equal(part.splits["train"], whole.splits["train"][:20])
    assert jax.tree.leaves(whole.init(jax.random.key(0))[0])[0].dtype == jnp.float32


@pytest.mark.parametrize(("batch_size", "size"), [(16, 8), (12, 6), (7, 7), (11, 1)])
def test_micro_batches_suit_the_device(build, monkeypatch, batch_size, size):
    assert build("shakespeare", micro_batch="auto", batch_size=batch_size).examples_at_once == size
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert build("shakespeare", micro_batch="auto", batch_size=batch_size).examples_at_once == batch_size
    assert build("shakespeare", micro_batch=1, batch_size=batch_size).examples_at_once == 1
