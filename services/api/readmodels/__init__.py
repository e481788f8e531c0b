"""What the API shows, in SQL: folded from the log, read by queries, thrown away and made again at will."""
