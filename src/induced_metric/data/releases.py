"""The known contents of the released data sets."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_MAKEFILE = Path(__file__).parents[3] / "Makefile"  # only in the repository, not in an installed package


class Release(NamedTuple):
    """A released data set, in TFDS's terms."""

    name: str
    version: str
    urls: tuple[str, ...]  # of its original files, as in TFDS
    shapes: Mapping[str, tuple[int, ...]]  # of one example, by feature; () for a label and for a text
    examples: Mapping[str, int]  # number of examples by split; for a text, of characters
    labels: Mapping[str, tuple[int, ...]] = {}  # number of examples of each class, by split
    # The ``digest`` of the arrays in TFDS's order, by split; missing if no whole copy was at hand.
    digests: Mapping[str, str] = {}

    @property
    def remedy(self) -> str:
        """The command that prepares it."""
        return (
            f"make data TASK={self.name}" if _MAKEFILE.exists() else f"induced-metric data --task {self.name}"
        )

    @property
    def offline(self) -> str:
        """How to prepare it without a network."""
        files = ", ".join(url.rsplit("/", 1)[1] for url in self.urls)
        option = "MANUAL_DIR=<directory>" if _MAKEFILE.exists() else "--manual-dir <directory>"
        return (
            f"without a network, put its original files ({files}) into a directory "
            f"and run {self.remedy} {option}"
        )


_MNIST = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_SHAKESPEARE = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"

RELEASES = {
    "mnist": Release(
        name="mnist",
        version="3.0.1",
        urls=tuple(
            f"{_MNIST}{split}-{content}-ubyte.gz"
            for split in ("t10k", "train")
            for content in ("images-idx3", "labels-idx1")
        ),
        shapes={"image": (28, 28, 1), "label": ()},
        examples={"train": 60_000, "test": 10_000},
        labels={
            "train": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
            "test": (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
        },
        digests={
            "train": "7e71b372a169a90dc3ee3f82acc4a5baf751095cd1c34318b2d1dc815ba8becf",
            "test": "6f7a1d02da79ec8d6615edc93fc9abc65d06bbcc0a17feca79bde20ce663ed6c",
        },
    ),
    "cifar10": Release(
        name="cifar10",
        version="3.0.2",
        urls=("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        shapes={"image": (32, 32, 3), "label": ()},
        examples={"train": 50_000, "test": 10_000},
        labels={"train": (5000,) * 10, "test": (1000,) * 10},
    ),
    "tiny_shakespeare": Release(
        name="tiny_shakespeare",
        version="1.0.0",
        urls=(f"{_SHAKESPEARE}input.txt",),
        shapes={"text": ()},
        examples={"train": 1_003_854, "validation": 55_770, "test": 55_770},
        digests={
            "train": "9668da6a20f6c133d85121bebab7452df3debe1f5546d7f5cbd32a84ba549508",
            "validation": "2618e40d75deee215839055be6bb9efa5f1ecbcb82baf75f7af322aa302a5c6a",
            "test": "5c8894de02202a3257efc60ef368d14590c65ec2951f4803c65c67b63203d48b",
        },
    ),
}
