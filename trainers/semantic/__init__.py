"""Training, scoring and predicting with models that label pixels.

Start at `results.py`; `scores.py` defines IoU and Dice.
"""
