"""Data sets: found, checked, read and augmented."""

from supervised.data.sets import DataSet, Split, load, load_alike

__all__ = ["DataSet", "Split", "load", "load_alike"]
