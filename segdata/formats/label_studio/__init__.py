"""Label Studio's JSON export: tasks with regions in per cent.

Knows nothing of other formats.
Start at `format.py`.
"""
