"""CarRacing: a race car on a random track, seen from above."""
