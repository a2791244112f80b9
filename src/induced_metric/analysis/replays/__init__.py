"""Recorded studies once more: replayed from their curves under other rules, or run again."""
