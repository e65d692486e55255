"""Learners of policies: policy gradients, actor-critic methods, and control of continuous actions."""
