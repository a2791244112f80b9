"""Recorded studies once more: under other rules, from their curves, and run again."""
