"""The log as a whole: imported, exported, verified."""
