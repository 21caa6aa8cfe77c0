"""What the pages are made of: their frame, words in the viewer's locale, charts, tables."""
