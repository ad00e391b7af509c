"""Readers with faults, for the tests of the fuzzer."""
