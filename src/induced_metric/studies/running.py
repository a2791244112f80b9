"""Runs studies: lanes train what studies ask for, until every trial is recorded."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from induced_metric.errors import PassingError
from induced_metric.lanes import Assignment, Lanes, Report
from induced_metric.studies.compatibility import check_program
from induced_metric.studies.plan import StudyPlan, StudyStatus
from induced_metric.studies.storage import StoppedError, StudyFiles
from induced_metric.studies.study import Study

_PAUSE_SECONDS = 0.1  # between two looks at what other processes do


class Studies:
    """Open studies of one pairing that share lanes; made by ``open_studies``.

    Attributes:
        stopping: whether ``stop`` was true when it was last called.
    """

    def __init__(self, studies: Sequence[Study], lanes: Lanes) -> None:
        self._studies = studies
        self._lanes = lanes
        self.stopping = False
        self._stride = min(_real_stride(study.plan, lanes.steps_per_dispatch) for study in studies)

    @property
    def finished(self) -> bool:
        """Whether every trial of every study is recorded."""
        return all(study.finished for study in self._studies)

    @property
    def shared(self) -> bool:
        """Whether other processes may train what this one cannot claim."""
        return any(study.shared for study in self._studies)

    def train(self, stop: Callable[[], bool]) -> bool:
        """Trains what this process can claim until nothing is left now; returns whether it trained any."""
        any_trained = False

        def ask() -> Assignment | None:
            nonlocal any_trained
            assignment = next(
                (assignment for study in self._studies if (assignment := study.ask()) is not None), None
            )
            any_trained = any_trained or assignment is not None
            return assignment

        def tell(reports: Sequence[Report]) -> list[bool]:
            self.stopping = stop()  # once a dispatch, so that all of its trials are saved, or all go on
            by_study: dict[int, list[Report]] = {}
            for report in reports:
                by_study.setdefault(report.trial[0], []).append(report)
            try:
                answers = {
                    place: iter(self._studies[place].tell(news, stopping=self.stopping))
                    for place, news in by_study.items()
                }
            except (StoppedError, PassingError):  # checkpoints need no storage that answers
                for place, news in by_study.items():
                    self._studies[place].keep(news)
                self.close()
                raise
            return [next(answers[report.trial[0]]) for report in reports]

        for study in self._studies:
            study.look(waiting=True)
        self._lanes.run(ask, tell, stride=self._stride, stop=lambda: self.stopping)
        return any_trained

    def close(self) -> None:
        """Saves the trials that wait outside the lanes."""
        for study in self._studies:
            study.close()


@contextlib.contextmanager
def open_studies(
    studies: Sequence[tuple[StudyPlan, StudyFiles, Callable[[StudyStatus], None]]], lanes: Lanes
) -> Iterator[Studies]:
    """Opens studies of one pairing. They are independent: each proposes what it would propose alone.

    The first study gets all lanes that it can use, the next ones get the rest.

    Args:
        studies: for each, its plan, its files, and a function that is called with its status at the start and
            after every dispatch.
        lanes: an engine whose steps are epochs and whose metrics include the objective.

    Raises:
        UserError: as in ``Storage.open`` and ``check_program``.
    """
    with contextlib.ExitStack() as opened:
        stores = [opened.enter_context(files.storage.open(plan, files.records)) for plan, files, _ in studies]
        for plan, files, _ in studies:
            check_program(plan.name, files.records.provenances(), plan.provenance)
        running = Studies(
            [
                Study(place, plan, store, files.checkpoints, lanes, on_progress)
                for place, ((plan, files, on_progress), store) in enumerate(zip(studies, stores, strict=True))
            ],
            lanes,
        )
        yield running
        running.close()


def run_studies(
    studies: Sequence[tuple[StudyPlan, StudyFiles, Callable[[StudyStatus], None]]],
    lanes: Lanes,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Runs studies of one pairing in the same lanes, until each has all its trials or they are stopped.

    Args:
        studies: as in ``open_studies``.
        lanes: as in ``open_studies``.
        stop: once it returns True, the epochs under way are finished, their trials saved, and this returns.

    Raises:
        UserError: as in ``open_studies``.
    """
    with open_studies(studies, lanes) as opened:
        run_opened([opened], stop=stop)


def run_opened(
    opened: Sequence[Studies], *, stop: Callable[[], bool] = lambda: False, wait: bool = True
) -> None:
    """Runs studies of several pairings until all are finished; each runs as long as it has a trial to claim.

    Args:
        opened: studies opened by ``open_studies``.
        stop: as in ``run_studies``.
        wait: whether to wait for trials that other processes train; if False, this returns when there is
            nothing to claim.
    """
    if stop():  # it may have come while the program was compiled
        return
    while True:
        trained = False
        for studies in opened:
            while not studies.finished and studies.train(stop):
                trained = True
                if studies.stopping:
                    return
        if all(studies.finished for studies in opened) or not any(studies.shared for studies in opened):
            return
        if not trained:
            if not wait or stop():
                return
            time.sleep(_PAUSE_SECONDS)


def _real_stride(plan: StudyPlan, most: int) -> int:
    """Epochs between two looks at a lane: as many as a dispatch can run without passing a rung."""
    if not plan.rungs:
        return most
    return max(epochs for epochs in range(1, most + 1) if plan.stride % epochs == 0)
