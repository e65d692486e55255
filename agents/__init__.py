"""What acts and learns: from tables to networks, one file an algorithm."""
