"""A plugin, ``pytest -p without_pytorch``: PyTorch is missing, whether or not it is installed."""

import sys
from importlib.machinery import PathFinder


class WithoutPyTorch(PathFinder):
    """Finds what any path finder does, and as ``torch`` only what could pass for it: a mere directory."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname != "torch":
            return super().find_spec(fullname, path, target)
        specs = (PathFinder.find_spec(fullname, [entry]) for entry in sys.path)
        return next((spec for spec in specs if spec and spec.origin is None), None)


def pytest_configure():
    sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutPyTorch
