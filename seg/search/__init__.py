"""Searching images by their features: an index in a file, queries, duplicates, clusters."""
