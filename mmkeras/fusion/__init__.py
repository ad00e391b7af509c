"""Fusions, which merge modalities: one file each, found by its name.

A fusion ``mmkeras/fusion/<name>.py`` has a function

    def fuse(tokens: dict[str, Tokens], *, option: int = 1) -> Fused | None

and a constant ``GIVES``; `mmkeras.fusion._contract` describes both and the optional parts.
"""
