"""What is true now, folded from facts. Everything here is pure."""
