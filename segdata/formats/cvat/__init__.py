"""CVAT's XML 1.1 of image tasks.

Knows nothing of other formats.
Start at `format.py`.
"""
