"""Benchmarks: candidates timed in turn on one clip with one clock, accuracy, memory."""
