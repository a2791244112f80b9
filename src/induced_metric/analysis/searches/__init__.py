"""What searches found: best runs beside the paper's, time to a target, and what a change of rules does."""
