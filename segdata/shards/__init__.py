"""The files of a build: TFRecord shards, receipts, the manifest, files for other tools.

May import `records`, `storage` and what comes before them.
Start at `manifest.py`: what a finished build says of itself.
"""
