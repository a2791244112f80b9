"""What tuning costs and brings: the best of so many trials, and tuned optimizers at equal budgets."""
