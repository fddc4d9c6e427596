"""Benchmarks: apart from the tests, run by `make bench`, tiny in the suite."""
