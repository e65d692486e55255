"""Networks that tell what is in a picture, and their training."""
