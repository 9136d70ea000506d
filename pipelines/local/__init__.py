"""Beam's own runner on this machine, with worker processes of ours.

Start at `runner.py`; `processes.py` starts and ends the workers.
"""
