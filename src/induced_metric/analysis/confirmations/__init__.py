"""What an optimizer is worth once tuned: chosen settings trained again from fresh seeds, and verdicts."""
