"""Executions of the workflow: their port, and the embedded deployment's processes."""
