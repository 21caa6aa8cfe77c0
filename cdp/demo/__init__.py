"""The demo property: people whose truth is known, exported as GA4 would export them."""
