"""Doors to what the other packages do: figures, benchmarks and the console script."""
