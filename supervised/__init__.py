"""What perceives and predicts, and what training of any kind shares."""
