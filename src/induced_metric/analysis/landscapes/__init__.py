"""The tables, figures, verdicts and page of the functions of two variables, made from their records alone."""
