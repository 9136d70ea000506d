"""Pascal VOC's segmentation, also as CVAT and labelme write it.

Imports what every format does, and the pairs of `mask_folder`. Start at `format.py`;
`classes.py` knows the classes.
"""
