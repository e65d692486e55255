"""Grid worlds: actions 0 to 3 are up, right, down, left in all of them."""
