"""Tables and figures of the studies, from their records alone.

``induced-metric tables --task regression`` writes what the notebooks show; ``reports`` lists it.
"""
