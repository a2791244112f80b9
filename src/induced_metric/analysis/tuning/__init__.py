"""What tuning costs and brings: the best of k trials, and tuned optimizers at equal budgets."""
