"""CamVid in its layouts: SegNet's, the prepped one, the original.

Imports what every format does. Start at `format.py`; `classes.py` has the class sets.
"""
