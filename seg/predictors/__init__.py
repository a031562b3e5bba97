"""Predictors: an image in, a result out, on any runtime."""
