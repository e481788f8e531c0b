"""Whether the platform is well: its services, its log, the copy that other systems read."""
