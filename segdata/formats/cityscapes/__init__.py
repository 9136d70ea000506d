"""Cityscapes. Start at `format.py`; `classes.py` has its classes."""
