"""The book's chapters 1 to 4 in NumPy alone: every formula once, next to the line that computes it."""
