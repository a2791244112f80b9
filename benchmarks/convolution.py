"""Speed of ResNet-18's 3×3 convolutions with their gradients inside a loop: ours compared with XLA's.

Run: python benchmarks/convolution.py [rounds] [batch]; XLA's take two minutes per round at batch 64.
"""

import sys
from functools import partial

from interleave import interleave, serve

STAGES = {32: 64, 16: 128, 8: 256, 4: 512}  # channels by height and width of the images
STEPS = 2  # iterations of the loop


def convolutions(requests, native, batch, size):
    from induced_metric import xla

    xla.configure()
    import jax
    import jax.numpy as jnp

    from induced_metric.models.convolution import convolve

    channels = STAGES[size]
    images = jax.random.normal(jax.random.key(0), (batch, size, size, channels))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, channels, channels)) / channels
    convolution = (
        partial(jax.lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))
        if native
        else convolve
    )

    @jax.jit
    def loop(images, kernel):
        def step(kernel, _):
            def apply(images, kernel):
                return convolution(images, kernel, (1, 1), "SAME")

            out, gradients = jax.vjp(apply, images, kernel)
            of_images, of_kernel = gradients(out)
            return kernel + 1e-9 * (of_kernel + jnp.mean(of_images)), None

        return jax.lax.scan(step, kernel, length=STEPS)[0]

    serve(requests, lambda: jax.block_until_ready(loop(images, kernel)), units=STEPS)


def main():
    numbers = [int(argument) for argument in sys.argv[1:]]
    rounds, batch = numbers + [1, 64][len(numbers) :]
    print(f"{f'batch {batch}, median of {rounds}':24} {'GFLOP/s: XLA':>14} {'ours':>8} {'ratio':>8}")
    for size, channels in STAGES.items():
        sides = {
            name: partial(convolutions, native=name == "XLA", batch=batch, size=size)
            for name in ("XLA", "ours")
        }
        seconds = {name: side.median for name, side in interleave(sides, rounds=rounds).items()}
        work = 3 * 2 * 9 * batch * (size * channels) ** 2 / 1e9  # the convolution and its two gradients
        print(
            f"{f'{size}×{size}, {channels} channels':24} {work / seconds['XLA']:14.0f} "
            f"{work / seconds['ours']:8.0f} {seconds['XLA'] / seconds['ours']:7.2f}x",
            flush=True,
        )


if __name__ == "__main__":
    main()
