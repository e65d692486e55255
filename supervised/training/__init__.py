"""What training of any kind shares: runs, checkpoints, seeds, statistics and errors."""
