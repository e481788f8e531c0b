"""Commands: pure decisions, one module per aggregate, and `shell.py`, which loads, decides and appends."""
