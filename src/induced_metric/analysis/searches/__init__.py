"""What searches found: best runs beside the paper's, time to target, and the effect of a change of rules."""
