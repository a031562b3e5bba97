"""Reproduction: the commands that measure DINOv2 here, each run once, and a page of results."""
