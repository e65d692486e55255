"""Object detection (book, chapter 5): where things are in an image, and what they are."""
