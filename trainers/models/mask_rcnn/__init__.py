"""Mask R-CNN in pure Keras 3, of static shapes from end to end."""
