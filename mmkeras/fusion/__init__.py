"""Ways of merging modalities, one file each, found by its name.

A fusion ``mmkeras/fusion/<name>.py`` has one function

    def fuse(tokens: dict[str, Tokens], *, option: int = 1) -> Fused

that builds on Keras' functional graph from layers named ``fusion_...``. It takes any number of modalities in
a fixed order, gives masked tokens no influence, and keeps the width. Its keyword options are what a
configuration can set.
"""
