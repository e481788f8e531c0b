"""The facts, and what surrounds them. Everything here is pure."""
