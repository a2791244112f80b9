from pathlib import Path

import pandas as pd
import pytest

PUBLISHED = Path(__file__).parents[3] / "results" / "published" / "landscapes"


@pytest.fixture(scope="session")
def published() -> dict[str, pd.DataFrame]:
    """The records that we publish, and the tables made of them."""
    tables = {path.stem: pd.read_parquet(path) for path in PUBLISHED.glob("*.parquet")}
    return tables | {path.stem: pd.read_csv(path) for path in PUBLISHED.glob("*.csv")}
