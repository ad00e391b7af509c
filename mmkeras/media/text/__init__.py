"""Texts: characters, vocabularies, word pieces."""
