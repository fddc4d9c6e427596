"""A recording and everything that can happen to it, and who may do it."""
