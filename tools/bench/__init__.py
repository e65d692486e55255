"""Speed against named peers, measured in one process run: ``python -m tools.bench NAME``."""
