"""All trials of a pairing under one protocol and one sampler: Optuna proposes, lanes train, records keep."""
