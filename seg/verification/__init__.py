"""Checks that an artifact computes what its source did."""
