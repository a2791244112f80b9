"""What tuning costs and brings: the best of k trials, and tuned optimisers at equal budgets."""
