"""A build as COCO's JSON: instances, keypoints, captions, panoptic segments.

Imports what every export does. Start at `export.py`.
"""
