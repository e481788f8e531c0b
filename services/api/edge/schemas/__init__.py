"""The shapes of answers and of queries, as OpenAPI shows them."""
