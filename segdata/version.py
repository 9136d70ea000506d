"""The version, in a file of its own that `setup.py` can read without importing."""

__version__ = "0.1.0"
