"""A design in PyTorch, and the checker that must be able to fail."""
