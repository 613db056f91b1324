"""What is written and shown, and when."""
