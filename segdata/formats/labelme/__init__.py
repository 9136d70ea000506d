"""labelme's own JSON files, one for each image.

Knows nothing of other formats.
Start at `format.py`.
"""
