"""What processes that share a study agree on by files."""

import uuid

from induced_metric.studies.shared_files import identity_of


def test_two_workers_that_begin_at_once_know_a_results_directory_by_the_same_name(tmp_path, monkeypatch):
    """One comes while the other makes up the name."""
    make, found = uuid.uuid4, []

    def interrupted():
        monkeypatch.setattr(uuid, "uuid4", make)
        found.append(identity_of(tmp_path))
        return make()

    monkeypatch.setattr(uuid, "uuid4", interrupted)
    found.append(identity_of(tmp_path))
    assert found[0] == found[1] == identity_of(tmp_path) != ""
    assert [path.name for path in tmp_path.iterdir()] == [".identity"]
