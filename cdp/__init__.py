"""Composable CDP: the GA4 export in, one consented profile a person out."""

__version__ = "0.1.0"
