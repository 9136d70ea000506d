"""Cityscapes: frames with class ids and instance ids.

Imports what every format does. Start at `format.py`; `classes.py` has the 34 classes.
"""
