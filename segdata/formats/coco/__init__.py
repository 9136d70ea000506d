"""COCO's JSON from any tool: instances, keypoints, captions, panoptic segments.

Imports what every format does. Start at `format.py`: it finds the files (`layout.py`),
reads them row by row (`json.py`, `tables.py`), and joins them (`companions.py`).
"""
