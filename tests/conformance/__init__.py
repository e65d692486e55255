"""What every registered environment promises, checked for each id in the registry."""
