"""What processes that share a study agree on by files."""

import errno
import fcntl
import os
import uuid

import pytest

from induced_metric.errors import UserError
from induced_metric.studies.shared_files import held, identity_of


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


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_one_sentence(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(UserError, match=r"x\.lock must lie on a file system with locks \(flock\)") as error,
        held(tmp_path / "x.lock", "it is held"),
    ):
        pass
    assert not error.value.passing


def test_so_is_one_without_hard_links_and_nothing_is_left_there(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(UserError, match="must lie on a file system with hard links"):
        identity_of(tmp_path)
    assert not list(tmp_path.iterdir())
