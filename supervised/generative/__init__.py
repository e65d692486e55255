"""Models that make new examples: autoencoders, variational ones, and adversarial networks (book, chapter 6)."""
