"""Ways of merging modalities, one file each, found by its name.

A fusion ``mmkeras/fusion/<name>.py`` has one function

    def fuse(tokens: dict[str, Tokens], *, option: int = 1) -> Fused | None

and a constant ``GIVES``; `mmkeras.fusion._contract` says what they are, and what else a fusion may have.
"""
