"""Functions of two variables, and many runs on them: the published grid, its timing, the fair study.

The lane engine (``induced_metric.lanes``) suits steps that take milliseconds. A step here takes tens of
nanoseconds, and asking a sampler for each run would cost more than the run. So all runs of an optimiser on a
function are one compiled program of their own (``CompiledDescent``), in double precision if JAX is set to it.
The optimisers are the same as elsewhere.
"""

from induced_metric.landscapes.candidates import Candidate, Case
from induced_metric.landscapes.descent import CompiledDescent, DescentResult
from induced_metric.landscapes.fair import FairStudy, run_fair
from induced_metric.landscapes.functions import LANDSCAPES, Landscape, Point, raised
from induced_metric.landscapes.gallery import Gallery, run_gallery
from induced_metric.landscapes.grid import Grid, run_grid
from induced_metric.landscapes.replay import Replay
from induced_metric.landscapes.settings import FairSettings, GridSettings, PageSettings, TimingSettings
from induced_metric.landscapes.timing import measure

__all__ = [
    "LANDSCAPES",
    "Candidate",
    "Case",
    "CompiledDescent",
    "DescentResult",
    "FairSettings",
    "FairStudy",
    "Gallery",
    "Grid",
    "GridSettings",
    "Landscape",
    "PageSettings",
    "Point",
    "Replay",
    "TimingSettings",
    "measure",
    "raised",
    "run_fair",
    "run_gallery",
    "run_grid",
]
