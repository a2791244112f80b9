"""The protocol of workers, in any order: claim, beat, expire, reap, wake, publish, tell, crash, disconnect.

The server is a real one. Its clock runs ahead for whom a rule says so: their heartbeats are moved into its
past. The workers' clocks are taken to have gone on between any two looks.
"""

import itertools
import json
import math
import shutil
from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from toy_study import plan, serving
from toy_workers import name_of

from induced_metric.records import RecordStore, StudyKey
from induced_metric.studies.postgres import PostgresStorage, _OpenStudy
from induced_metric.training.trial import Trial

pytestmark = [pytest.mark.postgres, pytest.mark.faults]

TRIALS, CLAIMS = 2, 3
SLOTS = ["w0", "w1", "w2"]
GRACE = 3600


class Worker:
    """A process, as far as the others can tell: its view of a study, and which trials it believes to have."""

    def __init__(self, server, where, plan, directory):
        self.server, self.plan = server, plan
        settings = PostgresStorage(server=server, lock=directory / "toy.lock", claims=CLAIMS, same_code=True)
        self.records = RecordStore(where)
        self.study = _OpenStudy(settings, plan, self.records)
        self.claims = {}
        self.expired = set()  # trials whose heartbeats were too old at some time

    def look(self):
        self.study._looked = self.study._reaped = self.server._answering = -math.inf
        news = self.study.look(waiting=True)
        for number in news.lost:
            # Or a worker that had lost it without knowing recorded it first.
            assert number in self.expired or number in self.study._known, "it was alive"
            del self.claims[number]
        return news

    def row(self, number, value):
        trial = Trial(number, dict(self.claims[number].hyperparameters), 1, self.plan.goal)
        state = "failed" if self.claims[number].failed else "complete"
        columns = self.plan.described(by=self.server.worker)
        curve = {"epoch": np.arange(1), "seconds": np.array([0.1]), "test/loss": np.array([value])}
        return {**trial.row(columns, state=state), "value": value}, curve


class Workers(RuleBasedStateMachine):
    """Workers that train the same trial come to different values: as accelerators do, but easier to see."""

    studies = itertools.count()

    def __init__(self, context):
        super().__init__()
        self.postgres, self.database, self.servers, root = context
        name = f"m{next(self.studies)}"
        self.directory = root / name
        self.plan = plan(key=StudyKey("paper", "toy", name, "sgd"), trials=TRIALS)
        self.workers, self.values, self.given = {}, itertools.count(1), {}
        self.records = {}  # number -> value that was published first
        self.held, self.lost = {}, {}  # by number: whether it was claimed and not given back; how often lost
        self.store = RecordStore(self.directory / "records")

    def claims(self):
        """Who believes to have which trial."""
        return [(slot, number) for slot, worker in self.workers.items() for number in sorted(worker.claims)]

    def query(self, statement):
        studies = "(SELECT study_id FROM studies WHERE study_name = %s)"
        return self.postgres.execute(
            statement.replace("THIS", studies), self.plan.name, database=self.database
        )

    # What workers do

    @initialize()
    def all_start(self):
        for slot in SLOTS:
            self.start_as(slot)

    @rule(data=st.data())
    def act(self, data):
        """One rule for all: Hypothesis leaves rules out at random, and without one little happens."""
        possible = ["disconnect"]
        if len(self.workers) < len(SLOTS):
            possible += ["start"] * 2
        if self.workers:
            possible += ["claim"] * 4 + ["look"] * 2 + ["crash", "stop"]
        if self.claims():
            possible += ["expire"] * 3 + ["publish", "beat"]
        getattr(self, data.draw(st.sampled_from(possible)))(data)

    def start(self, data):
        self.start_as(data.draw(st.sampled_from([slot for slot in SLOTS if slot not in self.workers])))

    def start_as(self, slot):
        records = self.directory / "records"
        self.workers[slot] = Worker(self.servers[slot], records, self.plan, self.directory)

    def claim(self, data):
        slot = data.draw(st.sampled_from(sorted(self.workers)))
        worker = self.workers[slot]
        if data.draw(st.booleans()):
            self.look_as(slot)
        wanted = [n for n in range(TRIALS) if n not in worker.claims and n not in worker.study._known]
        if not wanted:
            return
        number = data.draw(st.sampled_from(wanted))
        mine = {"x": next(self.values) / 7, "offset": 0.5}
        claim = worker.study.claim(number, mine, suspects=True)
        if claim is None:
            return
        for other in self.workers.values():
            assert number not in other.claims or number in other.expired, "it was another's, who is alive"
        assert number not in self.records, "it is recorded"
        # Those of whoever trained it first, unless its place was only kept.
        assert claim.hyperparameters == self.given.setdefault(number, mine)
        self.lost[number] = self.lost.get(number, 0) + self.held.get(number, False)
        self.held[number] = True
        assert claim.lost == self.lost[number]
        assert (claim.failed is not None) == (claim.lost >= CLAIMS)
        worker.claims[number] = claim
        worker.expired.discard(number)

    def beat(self, data):
        """All of a worker's trials, also those that it has lost."""
        slot, _ = data.draw(st.sampled_from(self.claims()))
        server = self.workers[slot].server
        for identity in list(server._beating):
            server.call(lambda identity=identity: server.storage.record_heartbeat(identity))

    def expire(self, data):
        slot, _ = data.draw(st.sampled_from(self.claims()))
        self.expire_all_of(slot)

    def expire_all_of(self, slot):
        worker = self.workers[slot]
        worker.expired |= worker.claims.keys()
        # Not those that it has lost without knowing: they are another's now, who is alive.
        own = [number for number, token in self.running().items() if token == worker.study._ledger._token]
        self.postgres.execute(
            "UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '3 hours' WHERE trial_id IN"
            " (SELECT trial_id FROM trials JOIN studies USING (study_id)"
            " WHERE study_name = %s AND number = ANY(%s))",
            self.plan.name, own, database=self.database,
        )  # fmt: skip

    def look(self, data):
        """And reap, and wake up."""
        self.look_as(data.draw(st.sampled_from(sorted(self.workers))))

    def look_as(self, slot):
        worker = self.workers[slot]
        for row, _ in worker.look().published:
            assert row["value"] == self.records[int(row["trial"])]
        running, token = self.running(), worker.study._ledger._token
        assert all(running.get(number) == token for number in worker.claims)

    def publish(self, data):
        """Also a trial that this worker has lost, and does not know yet."""
        self.publish_as(*data.draw(st.sampled_from(self.claims())))

    def publish_as(self, slot, number):
        worker = self.workers[slot]
        row, curve = worker.row(number, float(next(self.values)))
        (known,) = worker.study.publish([row], [curve])
        assert known.row["value"] == self.records.setdefault(number, row["value"])
        del worker.claims[number]

    def crash(self, data):
        """Also between the record of a trial and what the database is told of it."""
        slot = data.draw(st.sampled_from(sorted(self.workers)))
        worker = self.workers[slot]
        if worker.claims and data.draw(st.booleans()):
            number = data.draw(st.sampled_from(sorted(worker.claims)))
            row, curve = worker.row(number, float(next(self.values)))
            worker.records.publish(row, curve)
            self.records.setdefault(number, row["value"])
        if data.draw(st.booleans()):
            self.expire_all_of(slot)
        del self.workers[slot]
        worker.server._beating.clear()
        worker.server.storage.engine.dispose()

    def stop(self, data):
        """In order: what it has not recorded is anybody's at once."""
        self.stop_as(data.draw(st.sampled_from(sorted(self.workers))))

    def stop_as(self, slot):
        worker = self.workers.pop(slot)
        running, mine = self.running(), worker.study._ledger._token
        others = {number: token for number, token in running.items() if token != mine}
        self.held.update((number, False) for number in running.keys() - others.keys())
        worker.study.close()
        worker.study.compact()
        assert self.running() == others

    def disconnect(self, data):
        self.postgres.terminate_connections(self.database)

    # What holds at any time

    def running(self):
        """The tokens of the claims by which trials are under way, by number."""
        rows = self.query(
            "SELECT number, value_json FROM trials JOIN trial_user_attributes USING (trial_id)"
            " WHERE study_id IN THIS AND state = 'RUNNING' AND key = 'claim'"
        )
        return {number: json.loads(text)["token"] for number, text in rows}

    @invariant()
    def every_trial_has_one_number_and_those_that_run_a_heartbeat(self):
        rows = self.query(
            "SELECT number, state, heartbeat IS NULL FROM trials LEFT JOIN trial_heartbeats USING (trial_id)"
            " WHERE study_id IN THIS ORDER BY number"
        )
        assert [number for number, *_ in rows] == list(range(len(rows)))
        assert not [row for row in rows if row[1] == "RUNNING" and row[2]]

    @invariant()
    def every_record_is_the_first(self):
        trials = self.store.read().trials
        found = {} if trials.empty else dict(zip(trials["trial"], trials["value"], strict=True))
        assert found == self.records
        assert len(trials) == len(self.records)

    @invariant()
    def what_is_told_is_what_is_recorded(self):
        told = dict(
            self.query(
                "SELECT number, value FROM trials LEFT JOIN trial_values USING (trial_id)"
                " WHERE study_id IN THIS AND state IN ('COMPLETE', 'FAIL')"
            )
        )
        assert told.keys() <= self.records.keys()
        assert all(value in (None, self.records[number]) for number, value in told.items())

    def teardown(self):
        """Another worker completes the study, and whoever is still there changes nothing."""
        try:
            heir = Worker(self.servers["heir"], self.directory / "records", self.plan, self.directory)
            for slot in self.workers:
                self.expire_all_of(slot)
            self.expire_all()
            for _ in range(2):
                heir.look()
                for number in sorted(set(range(TRIALS)) - heir.study._known):
                    claim = heir.study.claim(number, {"x": 1.0, "offset": 0.5}, suspects=True)
                    assert claim is not None, f"nobody has {number}"
                    heir.claims[number] = claim
                    row, curve = heir.row(number, float(next(self.values)))
                    heir.study.publish([row], [curve])
                    self.records.setdefault(number, row["value"])
            assert self.records.keys() == set(range(TRIALS))
            heir.study.close()
            heir.study.compact()
            for claimed in self.claims():
                self.publish_as(*claimed)
            for slot in list(self.workers):
                self.look_as(slot)
                self.stop_as(slot)
            self.every_record_is_the_first()
            self.what_is_told_is_what_is_recorded()
            assert not self.running()
            assert not (self.directory / "records/pending").exists()
        finally:
            for server in self.servers.values():
                server._beating.clear()
            shutil.rmtree(self.directory, ignore_errors=True)

    def expire_all(self):
        self.query(
            "UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '3 hours' WHERE trial_id IN"
            " (SELECT trial_id FROM trials WHERE study_id IN THIS)"
        )


@pytest.mark.parametrize(
    ("examples", "steps"), [(40, 30), pytest.param(300, 60, marks=pytest.mark.exhaustive)]
)
def test_whatever_workers_do_every_trial_is_recorded_once_and_told_as_recorded(
    postgres, database, tmp_path, examples, steps
):
    with ExitStack() as stack:
        servers = {
            slot: stack.enter_context(serving(database, worker=slot, grace=GRACE))
            for slot in [*SLOTS, "heir"]
        }
        context = postgres, name_of(database), servers, tmp_path
        run_state_machine_as_test(
            lambda: Workers(context),
            settings=settings(
                max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
                suppress_health_check=list(HealthCheck), derandomize=examples < 100,
            ),
        )  # fmt: skip
