"""The warehouse: its port, its adapters, and the SQL that they share."""
