"""What was measured, minute by minute, in a database of its own that outlives the read models and METRICS."""
