"""Digests: of the bytes of the summaries, in any state of a study."""

import hashlib

import synthetic

from induced_metric.records import digest
from induced_metric.records.digests import DIGITS, parts


def test_the_digest_of_a_study_is_that_of_its_summaries(tmp_path) -> None:
    store = synthetic.write_study(tmp_path, "adam", trials=3, epochs=2)
    table = store.directory / "trials.parquet"
    assert digest(parts(store.directory)) == hashlib.sha256(table.read_bytes()).hexdigest()[:DIGITS]


def test_a_trial_more_is_another_digest_before_and_after_the_compaction(tmp_path) -> None:
    store = synthetic.write_study(tmp_path, "adam", trials=3, epochs=2)
    before = digest(parts(store.directory))
    store.append(*([each] for each in synthetic.trial(3, optimizer="adam", epochs=2)))
    pending = digest(parts(store.directory))
    store.compact()
    assert len({before, pending, digest(parts(store.directory))}) == 3
