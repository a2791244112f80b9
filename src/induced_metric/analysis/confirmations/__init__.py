"""What an optimiser is worth once tuned: the chosen settings trained again from fresh seeds, and verdicts."""
