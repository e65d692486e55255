"""Data sets: found, checked, read and augmented."""

from supervised.data.sets import DataSet, Split, load

__all__ = ["DataSet", "Split", "load"]
