"""The addresses of the API, by subject. Each handler reads its input, asks, and shapes the answer."""
