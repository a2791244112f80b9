"""The loss that the classification models share."""

import jax
import jax.numpy as jnp

from induced_metric.models.gathers import entries


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean of −log softmax(logits)[label], in nats, over all leading axes."""
    labels = jnp.asarray(labels).astype(jnp.int32)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))  # a model may compute in fewer bits
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - entries(logits, labels))
