"""Games of the Atari 2600, played by the Arcade Learning Environment."""
