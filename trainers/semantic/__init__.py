"""Training, scoring and predicting with models that label pixels.

Start at `evaluate.py` or `predict.py`; `scores.py` defines IoU and Dice.
"""
