"""Learners of action values with networks."""
