"""Makes ``tests/synthetic.py`` importable from every test directory (pytest puts this one on the path)."""
