"""``induced-metric``, ``python -m induced_metric``: imports no library, so that it can name a missing one."""

import sys

# For each extra, the modules of the libraries that it adds and the package imports.
_EXTRAS = {
    "experiments": (
        "array_record cv2 flax google hydra matplotlib omegaconf optuna pandas PIL plotly pyarrow "
        "pydantic requests rich scipy sklearn sqlalchemy tensorflow_datasets threadpoolctl "
        "typing_extensions wandb yaml _yaml"
    ),
    "torch": "torch",
    "data": "importlib_resources tensorflow",
    "cluster": "optuna_dashboard psycopg submitit",
}


def main() -> None:
    """Runs the command line; for a missing library, prints one sentence that names its extra."""
    try:
        from induced_metric.cli import commands

        commands.main()
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        if extra is None:
            raise
        print(
            f"induced-metric: {error.name} is missing; pip install 'induced-metric[{extra}]' adds it",
            file=sys.stderr,
        )
        sys.exit(2)


def extra_of(module: str) -> str | None:
    """The extra that adds a module; None if no extra does."""
    library = module.partition(".")[0]
    return next((extra for extra, libraries in _EXTRAS.items() if library in libraries.split()), None)


if __name__ == "__main__":
    main()
