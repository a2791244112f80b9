"""One trial: its epochs, its life from assignment to record, its checkpoints."""
