"""Scores of a model on a data set, their report and figures."""
