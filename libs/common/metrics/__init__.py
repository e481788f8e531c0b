"""What is measured of replicas and requests: samples, never facts, so never in the log."""
