"""The paper's claims 1-15 as data, decided from whatever is on record.

Claims 1-7 are about functions of two variables (``landscapes.claims``), 8-12 about networks and 13-15 about
the update itself, which tests and benchmarks decide, not records.
"""

from induced_metric.analysis.paper_claims.deciding import NOT_RUN, PUBLISHED, decide_all
from induced_metric.analysis.paper_claims.first_screen import first_screen, put_into
from induced_metric.analysis.paper_claims.report import claims_table, lines

__all__ = ["NOT_RUN", "PUBLISHED", "claims_table", "decide_all", "first_screen", "lines", "put_into"]
