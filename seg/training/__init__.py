"""Training: configurations, schedules, losses, batches, and the loop that knows no network."""
