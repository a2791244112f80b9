"""Tables, figures, verdicts and the page of the two-dimensional functions, from their records alone."""
