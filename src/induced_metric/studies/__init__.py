"""Studies: all trials of a pairing under one protocol and one sampler.

Optuna proposes the trials, lanes train them, and the records keep them.
"""
