"""Image files: bytes in; bytes that every reader decodes alike, or label runs, out.

May import `label_map`, `annotations` and `masks`; opens no files itself.
Start at `normalize.py` for photos, at `label_images.py` for labels.
"""
