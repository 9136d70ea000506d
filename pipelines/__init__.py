"""Apache Beam pipelines: wiring only, the logic lives in `segdata`."""
