"""Training, scoring and predicting with models that find objects.

Start at `training.py`; `average_precision.py` is COCO's AP.
"""
