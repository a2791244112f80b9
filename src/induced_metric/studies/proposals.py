"""The trials of a study in the order of their numbers: recorded earlier, or proposed now."""

from collections.abc import Mapping

import optuna

from induced_metric.studies.asked import Asked
from induced_metric.studies.dimensions import Proposed, propose, remember
from induced_metric.studies.plan import StudyPlan, trial_seed
from induced_metric.studies.storage import Published
from induced_metric.training.trial import Trial


class Proposals:
    """Proposes the trials of a study, and remembers those that are recorded.

    Args:
        plan: the plan of the study.
        study: the Optuna study, which is asked for every trial in turn, whoever trains it.
        recorded: the recorded trials, by number.

    Attributes:
        number: number of the next trial.
    """

    def __init__(self, plan: StudyPlan, study: optuna.Study, recorded: Mapping[int, Published]) -> None:
        self._plan, self._study = plan, study
        self._recorded = dict(recorded)
        self.number = 0

    @property
    def exhausted(self) -> bool:
        """Whether there are enough trials."""
        return self.number >= self._plan.trials

    def add(self, published: Published) -> bool:
        """Takes in the record of a trial that is still to come; returns False for any other record."""
        number = int(published.row["trial"])
        coming = self.number <= number < self._plan.trials
        if coming:
            self._recorded[number] = published
        return coming

    def next(self) -> Asked | None:
        """The next trial; None once there are enough."""
        plan, number = self._plan, self.number
        if self.exhausted:
            return None
        self.number += 1
        published = self._recorded.pop(number, None)
        proposed = (
            self._propose(number)
            if published is None
            else remember(self._study, plan.search_space, published.row)
        )
        hyperparameters = {**plan.fixed, **proposed.hyperparameters}
        trial = Trial(number, hyperparameters, trial_seed(plan.seed, number), plan.goal)
        asked = Asked(trial, proposed.id, complements=proposed.complements)
        if published is not None:
            asked.recorded(published)
        return asked

    def _propose(self, number: int) -> Proposed:
        self._study.sampler = self._plan.create_sampler(seed=trial_seed(self._plan.seed, number))
        return propose(self._study, self._plan.search_space)
