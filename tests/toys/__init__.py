"""Toys: the smallest models that use a contract of the library, each taken through the whole chain.

A toy is a configuration, a table, and where a contract needs it a component of its own in fewer than 60 lines, found
below ``tests/toys/<family>`` as if it were in ``mmkeras/<family>``. `tests.toys.chain` runs it from the table to
answers of the packed bundle.
"""
