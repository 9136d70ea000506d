"""Work on shards by Apache Beam: wiring only, the logic lives in `segdata`.

May import everything of `segdata` but `trainers` and `commands`. Start at `on_beam.py`;
`shards.py` is the one pipeline, `runners.py` what is known of Beam's runners, `local/`
its own runner on this machine.
"""
