"""Thin Keras trainers that read segdata's streams."""
