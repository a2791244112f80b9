"""A study and its trials in Optuna's tables: our attributes, and what Optuna's storage lacks.

The ledger decides who may claim, tell or free a trial, and when.
"""

import contextlib
import json
from collections.abc import Collection, Mapping
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from induced_metric.errors import UserError
from induced_metric.studies.compatibility import check_config, check_program
from induced_metric.studies.plan import StudyPlan
from induced_metric.studies.server import Server
from induced_metric.studies.storage import CONFIG, STATES
from induced_metric.studies.watching import TRIALS
from induced_metric.training.origins import origin

GIVEN, CLAIM, LOST = "hyperparameters", "claim", "lost"  # attributes of a trial
TOKEN, WORKER = "token", "worker"  # of a claim
_CODE, _ORIGIN, _RESULTS = "code", "origin", "results"  # attributes of a study


class TrialsTable:
    """The trials of a study in the database.

    Args:
        server: the database.
        study_id: the study's id there.
    """

    def __init__(self, server: Server, study_id: int) -> None:
        self._server, self._id = server, study_id
        self._storage = server.storage

    def count(self) -> int:
        """The number of trials."""
        # Optuna's own method loads the trials to count them: 0.2 s at 500 trials.
        return int(self._server.execute(f"select count(*) from trials where study_id = {self._id}"))

    def identity_of(self, number: int) -> int | None:
        """The id of a trial in the database; None if the database has lost the trial.

        A server that crashes loses what it was told last, and gives those ids to other trials.
        """
        with contextlib.suppress(KeyError):
            return self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        return None

    def unfinished(self, count: int, mine: Collection[int]) -> tuple[set[int], dict[int, Mapping[str, str]]]:
        """The numbers of the trials that nobody has, and the claims on unfinished trials of ``mine``.

        Args:
            count: only trials with numbers below this one.
            mine: numbers of the trials whose claims are asked for.
        """
        # Optuna's own method loads everything about each of them: 0.2 s at 1000 trials.
        unfinished = self._server.rows(
            "select number, state, case when number = any(:mine) then (select value_json from "
            "trial_user_attributes a where a.trial_id = t.trial_id and key = :claim) end from trials t "
            "where study_id = :study and state in ('RUNNING', 'WAITING') and number < :count",
            mine=list(mine), claim=CLAIM, study=self._id, count=count,
        )  # fmt: skip
        free = {number for number, state, _ in unfinished if state == "WAITING"}
        return free, {number: json.loads(claim) for number, _, claim in unfinished if claim is not None}

    def running(self) -> list[FrozenTrial]:
        """The trials that some worker has."""
        return self._storage.get_all_trials(self._id, deepcopy=False, states=(TrialState.RUNNING,))

    def stale(self) -> list[int]:
        """The ids of running trials that have had no heartbeat for the grace period."""
        return self._storage._get_stale_trial_ids(self._id)

    def add(self, row: Mapping[str, Any] | None = None, **attributes: Any) -> int:
        """Adds a trial that is recorded (``row``) or is to be claimed; returns its id.

        Hyperparameters are an attribute, ``GIVEN``: as Optuna's parameters they would take the most time.
        """
        if row is None:
            trial = optuna.trial.create_trial(state=TrialState.WAITING, user_attrs=attributes)
        else:
            state = STATES[row["state"]]
            value = float(row["value"]) if state is TrialState.COMPLETE else None
            trial = optuna.trial.create_trial(state=state, value=value)
        return self._storage.create_new_trial(self._id, trial)

    def sign(
        self, trial: FrozenTrial, claim: Mapping[str, str], hyperparameters: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Writes a claim on a trial; returns the trial's hyperparameters, those of its first claim."""
        if GIVEN in trial.user_attrs:
            hyperparameters = trial.user_attrs[GIVEN]
        else:
            self._storage.set_trial_user_attr(trial._trial_id, GIVEN, dict(hyperparameters))
        self._storage.set_trial_user_attr(trial._trial_id, CLAIM, claim)
        return hyperparameters

    def report(self, identity: int, epochs: int, value: float) -> None:
        """Reports the value that a trial is judged by after ``epochs`` epochs."""
        # The trial may be finished: this worker lost it, and another has told it.
        with contextlib.suppress(UpdateFinishedTrialError):
            self._storage.set_trial_intermediate_value(identity, epochs, value)

    def tell(self, identity: int, row: Mapping[str, Any]) -> None:
        """Marks a trial as finished, as it is recorded."""
        state = STATES[row["state"]]
        value = [float(row["value"])] if state is TrialState.COMPLETE else None
        with contextlib.suppress(UpdateFinishedTrialError):  # another worker has told it
            self._storage.set_trial_state_values(identity, state, value)

    def give_up(self, trial: FrozenTrial) -> None:
        """Frees a trial whose worker is lost."""
        identity = trial._trial_id
        self._storage.set_trial_user_attr(identity, LOST, int(trial.user_attrs.get(LOST, 0)) + 1)
        self._storage.set_trial_state_values(identity, TrialState.WAITING)


def claim_of(trial: FrozenTrial) -> Mapping[str, str]:
    """The claim on a running trial."""
    return trial.user_attrs[CLAIM]


def agree(server: Server, plan: StudyPlan, results: str, *, same_code: bool) -> int:
    """Returns the id of a study in the database, which is created if it is not there.

    Args:
        server: the database.
        plan: the plan of the study.
        results: identity of the results directory (``shared_files.identity_of``).
        same_code: whether a worker that runs another commit is refused.

    Raises:
        UserError: if the study was begun with another configuration, with other code (if ``same_code``, or
            if it computes something else), or with another results directory.
    """
    name, storage = plan.name, server.storage
    code = {fact: plan.provenance.get(fact) for fact in ("commit", "dirty")}
    attributes = {
        CONFIG: dict(plan.config), _CODE: code, _ORIGIN: origin(plan.provenance), _RESULTS: results
    }  # fmt: skip
    try:
        identity = storage.get_study_id_from_name(name)
    except KeyError:
        direction = optuna.study.StudyDirection[plan.goal.direction.upper()]
        identity = storage.create_new_study([direction], name)
    stored = storage.get_study_user_attrs(identity)
    if stored.get(_RESULTS, results) != results:
        raise UserError(
            f"the database holds {name} with another results directory; all its workers must use the "
            "same one, and a separate study needs another database"
        )
    check_config(name, stored.get(CONFIG, attributes[CONFIG]), plan.config)
    if same_code and stored.get(_CODE, code) != code:
        raise UserError(
            f"{name} was begun with other code ({_words(stored[_CODE])}) than this worker's "
            f"({_words(code)}); use the same code, or storage.same_code=false if the difference does not "
            "matter"
        )
    check_program(
        name,
        [{**stored.get(_CODE, {}), **stored.get(_ORIGIN, {})}],
        plan.provenance,
        remedy="give what you changed another name, or use another database and results directory",
    )
    for attribute, value in attributes.items():
        if attribute not in stored:
            storage.set_study_user_attr(identity, attribute, value)
    if stored.get(TRIALS) != plan.trials:
        storage.set_study_user_attr(identity, TRIALS, plan.trials)
    server.sync()
    return identity


def _words(code: Mapping[str, Any]) -> str:
    commit = str(code.get("commit") or "no commit")[:12]
    return f"{commit}, with changes" if code.get("dirty") else commit
