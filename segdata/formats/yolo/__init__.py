"""YOLO's text files of polygons and boxes, as Ultralytics and others write them.

Knows nothing of other formats.
Start at `format.py`.
"""
