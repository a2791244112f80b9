"""Errors that end in one sentence: which of them say that a device has no memory left."""

import jax
import pytest

from induced_metric.errors import UserError, memory_sentence, out_of_memory

# As XLA's CUDA plugin has them, or as users reported them to jax-ml/jax, google/flax and tensorflow.
NO_MEMORY = {
    "allocator": "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4770354232 bytes.",
    "request": "RESOURCE_EXHAUSTED: Failed to allocate request for 32.00MiB (33554432B) on device ordinal 0",
    "graph": "RESOURCE_EXHAUSTED: Underlying backend ran out of memory trying to instantiate command buffer",
    "driver": "INTERNAL: Failed to load in-memory CUBIN: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    "runtime": "INTERNAL: There was an error before creating cudnn handle: cudaErrorMemoryAllocation : "
    "out of memory",
    "scratch": "INTERNAL: Failed to allocate scratch memory for the CuDNN CTC Loss",
    "cublas": "INTERNAL: failed to create cublas handle: the resource allocation failed",
    "cublas by name": "INTERNAL: failed to create cublas handle: CUBLAS_STATUS_ALLOC_FAILED",
    "cudnn": "INTERNAL: custom call 'xla.gpu.conv.forward' failed: CUDNN_STATUS_ALLOC_FAILED",
    "cudnn 9": "INTERNAL: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
}
OTHERS = {
    "cudnn does not start": "FAILED_PRECONDITION: DNN library initialization failed.",
    "memory of others": "INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered",
    "no kernel": "NOT_FOUND: CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image is available",
    "a shape": "INVALID_ARGUMENT: dot_general requires equal contracting sizes",
}


@pytest.mark.parametrize("kind", [jax.errors.JaxRuntimeError, ValueError])
@pytest.mark.parametrize("text", NO_MEMORY.values(), ids=NO_MEMORY)
def test_a_device_without_memory_is_known_by_what_is_said(text, kind):
    assert out_of_memory(kind(text))


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_other_errors_of_a_device_are_not_taken_for_it(text):
    assert not out_of_memory(jax.errors.JaxRuntimeError(text))


def test_the_host_may_have_none_and_what_a_user_asks_for_is_no_matter_of_memory():
    assert out_of_memory(MemoryError())
    assert not out_of_memory(UserError("search_space.task.width: out of memory must be spelt otherwise"))
    assert not out_of_memory(OSError("out of memory"))


@pytest.mark.parametrize(
    ("name", "asked"), [("allocator", "4770354232 bytes"), ("request", "32.00MiB"), ("cudnn", None)]
)
def test_the_sentence_says_what_was_asked_for_where_that_is_known(name, asked):
    said = memory_sentence(ValueError(NO_MEMORY[name]), "lower it")
    between = f" ({asked} were requested)" if asked else ""
    assert said == f"the device does not have enough memory{between}: lower it"
