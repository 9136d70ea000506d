"""What trainers do with models that find objects: streams, scores, pictures."""
