"""Tables and figures of the studies, made from their records alone.

``induced-metric tables --task regression`` writes what the notebooks show; ``reports`` lists all of it. Each
folder answers a question: what ``searches`` found, what ``tuning`` costs, how winners do in
``confirmations``. The modules beside the folders are what all of them share.
"""
