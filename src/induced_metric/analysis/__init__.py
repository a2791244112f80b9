"""Tables and figures of the studies, from their records alone.

``induced-metric tables --task regression`` writes what the notebooks show; ``reports`` lists it. Folders are
questions: what ``searches`` found, what ``tuning`` costs, what ``confirmations`` make of winners; the modules
beside them are what all of these share.
"""
