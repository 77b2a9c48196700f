"""Batch recommender for play logs on Spark."""

__version__ = "0.1.0"
