"""The spec: what it may say, what is wrong with one, what it makes of a replica. Everything here is pure."""
