"""Runs studies: lanes train what studies ask for, until every trial is recorded."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence

from induced_metric.lanes import Assignment, Lanes, Report
from induced_metric.studies.plan import StudyPlan, StudyStatus
from induced_metric.studies.storage import StudyFiles
from induced_metric.studies.study import Study

_PAUSE_SECONDS = 0.1  # between two looks at what other processes do


class Studies:
    """Studies of one pairing, open, in the same lanes; made by ``open_studies``.

    Attributes:
        stopping: whether ``stop`` was seen to be true.
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
        """Trains what this process can claim, until there is nothing more for now; whether there was any."""
        any_trained = False

        def ask() -> Assignment | None:
            nonlocal any_trained
            found = next((found for study in self._studies if (found := study.ask()) is not None), None)
            any_trained = any_trained or found is not None
            return found

        def tell(reports: Sequence[Report]) -> list[bool]:
            self.stopping = stop()  # once a dispatch: all of its trials are kept, or all go on
            by_study: dict[int, list[Report]] = {}
            for report in reports:
                by_study.setdefault(report.trial[0], []).append(report)
            answers = {
                place: iter(self._studies[place].tell(news, stopping=self.stopping))
                for place, news in by_study.items()
            }
            return [next(answers[report.trial[0]]) for report in reports]

        for study in self._studies:
            study.look(waiting=True)
        self._lanes.run(ask, tell, stride=self._stride, stop=lambda: self.stopping)
        return any_trained

    def close(self) -> None:
        """Keeps what is under way, and gives it back."""
        for study in self._studies:
            study.close()


@contextlib.contextmanager
def open_studies(
    studies: Sequence[tuple[StudyPlan, StudyFiles, Callable[[StudyStatus], None]]], lanes: Lanes
) -> Iterator[Studies]:
    """Opens studies of one pairing, which know nothing of each other: each proposes what it would alone.

    The first gets the lanes it can use, the next ones what it leaves.

    Args:
        studies: what to do, where it is kept, and what is called at the start and after every dispatch.
        lanes: an engine whose steps are epochs and whose metrics hold the objective.

    Raises:
        UserError: as of ``Storage.open``.
    """
    with contextlib.ExitStack() as opened:
        stores = [opened.enter_context(files.storage.open(plan, files.records)) for plan, files, _ in studies]
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
    """Runs studies of one pairing in the same lanes, until each has its trials or they are stopped.

    Args:
        studies: as of ``open_studies``.
        lanes: as of ``open_studies``.
        stop: once true, the epochs under way are finished, their trials are kept, and the studies return.

    Raises:
        UserError: as of ``open_studies``.
    """
    with open_studies(studies, lanes) as opened:
        run_opened([opened], stop=stop)


def run_opened(
    opened: Sequence[Studies], *, stop: Callable[[], bool] = lambda: False, wait: bool = True
) -> None:
    """Runs studies of several pairings until all are finished, each as long as it has a trial to claim.

    Args:
        opened: by ``open_studies``.
        stop: as of ``run_studies``.
        wait: for what other processes train; if not, this returns when there is nothing to claim.
    """
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
    """Epochs between two looks at a lane: as many as a dispatch has, but past no rung."""
    if not plan.rungs:
        return most
    rungs = math.gcd(*plan.rungs)
    return max(epochs for epochs in range(1, most + 1) if rungs % epochs == 0)
