"""Run-length masks as arrays and numbers, and the C that makes them fast.

No files, no records; imports only `errors` and what lies here.
Start at `rle.py`: the pixel order, and `rle`, which turns any segmentation into runs.
"""
