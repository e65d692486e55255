"""What the book lists, draws, prints and states, chapter by chapter, and where all that is here."""
