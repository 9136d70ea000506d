"""Pascal VOC's segmentation. Start at `format.py`; `classes.py` knows the classes."""
