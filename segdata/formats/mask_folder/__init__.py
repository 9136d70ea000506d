"""Folders of images and of masks, as people have them.

Imports what every format does. Start at `format.py`. `leaves.py` tells what the names
of folders say, `candidates.py` and `places.py` which belong together, `pairs.py`
which mask is whose, by `affixes.py` and the words of `names.py`; `labels.py` decides
what masks mean, by the class file (`classes.py`) or by their values (`census.py`);
`numbered.py` and `objects.py` are for masks of objects.
"""
