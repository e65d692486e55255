"""Classic control tasks with continuous states."""
