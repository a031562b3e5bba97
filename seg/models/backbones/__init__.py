"""Backbones, key for key the official state dicts."""
