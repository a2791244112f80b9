"""Tables and figures of the studies, from their records alone.

``python -m induced_metric.analysis tables --task regression`` writes what the notebooks show.
"""
