"""Entry points of Cloud Run functions."""
