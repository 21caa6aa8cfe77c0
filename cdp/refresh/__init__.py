"""What the workflow drives: the steps of a refresh, its runs and lease, ingest, dead letters."""
