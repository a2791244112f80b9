"""Who may work on a study beside others, and who is refused in a sentence."""

import signal

import pytest
from toy_study import assert_same, files, plan, run, serving, stopping_after
from toy_workers import lost, workers

from induced_metric.errors import UserError

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def opened(plan, files):
    return files.storage.open(plan, files.records)


def refused(sentence):
    return pytest.raises(UserError, match=rf"^{sentence}$")


def test_a_second_worker_of_the_same_name_is_refused(database):
    with serving(database, worker="w0", grace=1):
        sentence = "a worker called w0 is already running; each needs a name of its own"
        with refused(sentence), serving(database, worker="w0", grace=1):
            pass
        with serving(database, worker="w1", grace=1) as other:
            assert other.worker == "w1"
    with serving(database, worker="w0") as again:
        assert again.worker == "w0"


def test_workers_without_a_name_take_the_first_free_one_of_their_machine(database):
    with serving(database) as first, serving(database) as second:
        names = [first.worker, second.worker]
        assert [name[-1] for name in names] == ["0", "1"]
        first.close()
        with serving(database) as third:
            assert third.worker == names[0]


def test_the_same_sweep_started_twice_is_done_by_both_as_by_one(database, tmp_path, undisturbed):
    with workers(tmp_path, database, search="halving", trials=30, pause=0.02) as start:
        for worker in [start(), start()]:
            assert worker.ended() == 0, worker.log()
    found = files(tmp_path).records.read()
    assert_same(found, undisturbed("halving", 30))
    assert not lost(found)


def test_a_process_with_a_journal_is_refused_beside_workers(database, tmp_path):
    with serving(database) as server, opened(plan(), files(tmp_path, server)):
        sentence = r"another process is running the study of .*toy\.journal"
        with refused(sentence), opened(plan(), files(tmp_path)):
            pass
        with opened(plan(), files(tmp_path, server)):
            pass


def test_workers_are_refused_beside_a_process_with_a_journal(database, tmp_path):
    sentence = r"a process with storage=journal is running the study of .*toy\.lock"
    with serving(database) as server, opened(plan(), files(tmp_path)):
        workers_files = files(tmp_path, server)
        with refused(sentence), opened(plan(), workers_files):
            pass


def test_a_worker_that_was_killed_keeps_nobody_with_a_journal_away(database, tmp_path, lanes, undisturbed):
    with workers(tmp_path, database) as start:
        killed = start(faults=[("tell", "before", 3, signal.SIGKILL)])
        assert killed.ended() == -signal.SIGKILL, killed.log()
    assert_same(run(plan(), files(tmp_path), lanes), undisturbed("random"))


def test_a_worker_with_another_configuration_is_refused_with_the_difference_and_disturbs_nobody(
    database, tmp_path, lanes, undisturbed
):
    other = plan(config={"task": {"epochs": 45, "batch_size": 8}, "seed": 3})
    sentence = (
        r"paper-toy-random-sgd was begun with another configuration \(task\.batch_size: absent -> 8\); "
        "use the same one, or another results directory"
    )
    tried = []

    def meanwhile(_):
        if not tried:
            tried.append(True)
            with serving(database) as server, refused(sentence):
                run(other, files(tmp_path, server), lanes)

    with serving(database) as server:
        found = run(plan(), files(tmp_path, server), lanes, on_progress=meanwhile)
    assert tried
    assert_same(found, undisturbed("random"))


@pytest.mark.parametrize(
    ("provenance", "words"),
    [
        ({"commit": "b" * 40, "dirty": False}, "bbbbbbbbbbbb"),
        ({"commit": "a" * 40, "dirty": True}, "aaaaaaaaaaaa, with changes"),
        ({}, "no commit"),
    ],
    ids=["commit", "changes", "none"],
)
def test_a_worker_with_another_code_is_refused_unless_that_is_said_not_to_matter(
    database, tmp_path, lanes, undisturbed, provenance, words
):
    other = plan(provenance=provenance)
    with serving(database) as server:
        run(plan(), files(tmp_path, server), lanes, stop=stopping_after(3))
        with refused(
            r"paper-toy-random-sgd was begun with other code \(aaaaaaaaaaaa\) than this worker's "
            rf"\({words}\); use the same code, or storage.same_code=false if the difference does not matter"
        ):
            run(other, files(tmp_path, server), lanes)
        found = run(other, files(tmp_path, server, same_code=False), lanes)
    assert_same(found, undisturbed("random"))


def test_a_worker_with_another_program_is_refused(database, tmp_path, lanes):
    """As long as there is no record, only the database says with which one the study was begun."""
    code = {"commit": "a" * 40, "dirty": True}
    of_a, of_b = (plan(provenance={**code, "program": program}) for program in "ab")
    with serving(database) as server:
        run(of_a, files(tmp_path, server), lanes, stop=lambda: True)
        for same_code in (True, False):
            with refused(
                r"paper-toy-random-sgd was begun with other code \(commit aaaaaaa, with uncommitted "
                r"changes\): .* or use another database and results directory"
            ):
                run(of_b, files(tmp_path, server, same_code=same_code), lanes)
        elsewhere = plan(provenance={**code, "program": "b", "device": "gpu"})  # nothing is known
        run(elsewhere, files(tmp_path, server), lanes, stop=lambda: True)


def test_a_worker_with_another_results_directory_is_refused(database, tmp_path, lanes):
    with serving(database) as server:
        run(plan(), files(tmp_path / "one", server), lanes, stop=stopping_after(3))
        with refused(
            "the database holds paper-toy-random-sgd with another results directory; all its workers must "
            "use the same one, and a separate study needs another database"
        ):
            run(plan(), files(tmp_path / "two", server), lanes)
