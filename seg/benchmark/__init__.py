"""Comparing what runs: one clock, one clip, every contestant in turn."""
