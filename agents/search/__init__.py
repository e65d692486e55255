"""Players of board games that look ahead: perfect ones, tree search, and networks that learn from it."""
