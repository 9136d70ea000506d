"""Frames for benchmarks: the real CamVid where it lies, else drawn ones."""

from __future__ import annotations

import tempfile
from pathlib import Path

from measure import SHARED_DATA

from segdata.samples.camvid import write_camvid_sample


def camvid_folder(num_drawn: int = 64) -> tuple[Path, str]:
    """A CamVid folder in the SegNet layout and what to call it in the report."""
    if (SHARED_DATA / "camvid").is_dir():
        return SHARED_DATA / "camvid", "real CamVid"
    folder = Path(tempfile.mkdtemp(prefix="segdata-bench-"))
    write_camvid_sample(folder, seed=0, num_train=num_drawn, num_val=8)
    return folder, "drawn CamVid"
