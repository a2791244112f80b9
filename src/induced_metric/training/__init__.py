"""One trial: its epochs, its course from assignment to record, and its checkpoints."""
