"""Learning to act from an expert: demonstrations, behavioral cloning, DAgger, and the experts themselves."""
