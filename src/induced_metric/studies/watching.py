"""What is under way in studies, for those who watch them; it is read without locking or writing anything."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from optuna.storages.journal._storage import JournalOperation
from optuna.trial import TrialState

from induced_metric.errors import UserError
from induced_metric.studies.address import parsed, public, secrets

TRIALS = "trials"
"""The attribute of a study in Optuna's storage that says how many trials the last run wants."""
_PATIENCE_SECONDS = 10


class UnderWay(NamedTuple):
    """A trial that has been proposed and has not ended.

    Attributes:
        trial: its number.
        worker: the worker that trains it; None if the study has only one process.
        heartbeat_seconds: age of its last heartbeat; None likewise.
    """

    trial: int
    worker: str | None = None
    heartbeat_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Coordinated:
    """What a study's journal or database says about it.

    Attributes:
        trials: how many trials the last run wants; None if it did not say.
        under_way: trials that have not ended.
        lost: the numbers of the trials that wait for a worker because another was lost.
    """

    trials: int | None = None
    under_way: Sequence[UnderWay] = ()
    lost: Sequence[int] = ()


def in_journal(path: Path) -> Coordinated:
    """What a journal says; empty if there is none. A killed run leaves its trials under way."""
    wanted: int | None = None
    states: list[TrialState] = []  # by number: a journal holds one study
    for log in _logs(path):
        match log["op_code"]:
            case JournalOperation.SET_STUDY_USER_ATTR:
                wanted = log["user_attr"].get(TRIALS, wanted)
            case JournalOperation.CREATE_TRIAL:
                states.append(TrialState(log.get("state", TrialState.RUNNING)))
            case JournalOperation.SET_TRIAL_STATE_VALUES:
                states[log["trial_id"]] = TrialState(log["state"])
    under_way = [UnderWay(number) for number, state in enumerate(states) if not state.is_finished()]
    return Coordinated(trials=wanted, under_way=under_way)


def _logs(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal; the last one is left out if it is only half written."""
    try:
        with path.open(encoding="utf-8") as file:
            yield from (json.loads(line) for line in file if line.endswith("\n"))
    except FileNotFoundError:
        return
    except ValueError as error:
        raise UserError(
            f"the journal {path} is damaged ({error}); the next run recreates it from the records"
        ) from error


def in_database(url: str, names: Iterable[str]) -> dict[str, Coordinated]:
    """What a database says about those of the named studies that it holds.

    Raises:
        UserError: if it cannot be used; the message shows no secret part of the URL.
    """
    import sqlalchemy

    options = {
        "default_transaction_read_only": "on",
        "statement_timeout": 1000 * _PATIENCE_SECONDS,
    }
    engine = sqlalchemy.create_engine(
        parsed(url),
        poolclass=sqlalchemy.pool.NullPool,
        connect_args={
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
            "connect_timeout": _PATIENCE_SECONDS,
            "application_name": "induced-metric status",
        },
    )
    parameters = {"names": list(names), "trials": TRIALS}
    try:
        with engine.connect() as connection:
            if connection.execute(sqlalchemy.text("select to_regclass('trials')")).scalar() is None:
                return {}  # no worker has created the tables yet
            studies, trials = (
                [dict(row) for row in connection.execute(sqlalchemy.text(query), parameters).mappings()]
                for query in (_STUDIES, _TRIALS)
            )
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise UserError(f"the database cannot be used: {public(error, secrets(url))}") from None
    return {study["study_name"]: _coordinated(study, trials) for study in studies}


_STUDIES = """
select study_name, wanted.value_json as trials from studies
left join study_user_attributes wanted on wanted.study_id = studies.study_id and wanted.key = :trials
where study_name = any(:names)
"""
# Heartbeats are stored in UTC, without their time zone. That of this session may be any: PGTZ overrides it.
_TRIALS = """
select study_name, number, trials.state::text as state,
    claim.value_json as claim, lost.value_json as lost,
    extract(epoch from now() at time zone 'UTC' - heartbeat)::float as age
from trials join studies on studies.study_id = trials.study_id
left join trial_heartbeats beats on beats.trial_id = trials.trial_id
left join trial_user_attributes claim on claim.trial_id = trials.trial_id and claim.key = 'claim'
left join trial_user_attributes lost on lost.trial_id = trials.trial_id and lost.key = 'lost'
where study_name = any(:names) and trials.state in ('RUNNING', 'WAITING') order by number
"""


def _coordinated(study: Mapping[str, Any], trials: Sequence[Mapping[str, Any]]) -> Coordinated:
    unfinished = [trial for trial in trials if trial["study_name"] == study["study_name"]]
    return Coordinated(
        trials=None if study["trials"] is None else json.loads(study["trials"]),
        under_way=[
            UnderWay(trial["number"], json.loads(trial["claim"] or "{}").get("worker"), trial["age"])
            for trial in unfinished
            if trial["state"] == TrialState.RUNNING.name
        ],
        lost=[
            trial["number"]
            for trial in unfinished
            if trial["state"] == TrialState.WAITING.name and json.loads(trial["lost"] or "0")
        ],
    )
