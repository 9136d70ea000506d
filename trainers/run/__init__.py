"""A training run, whatever the task: options, presets, directory, checkpoints, devices.

Start at `train.py`, `evaluate.py` or `predict.py`; `options.py` has every option,
`directory.py` what a run leaves.
"""
