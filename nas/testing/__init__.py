"""Suites of tests for plug-ins: a class of pytest tests for each thing that a plug-in may add.

Derive a class from one in your own tests, give it the thing, and pytest runs the suite.
"""
