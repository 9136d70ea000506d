"""A folder of images and a folder of masks with the same names.

Imports what every format does. Start at `format.py`; `pairs.py` finds which mask is
whose, `classes.py` reads the class file.
"""
