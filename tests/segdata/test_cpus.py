from __future__ import annotations

import os

from segdata.cpus import num_cpus


def test_processors_that_this_process_may_use_are_counted(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 4}, raising=False)
    assert num_cpus() == 3


def test_all_are_counted_where_the_system_cannot_tell(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert num_cpus() == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert num_cpus() == 1
