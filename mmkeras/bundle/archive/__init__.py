"""The packed bundle: one ``.mmk`` file, a zip that runs and tests itself on a device. Standard library only.

- ``names``: allowed member names and sizes
- ``layout``: the bytes around the members, which follow from names, sizes and checksums alone
- ``listing``: ``sha256.json``, the first member, which lists every other one
- ``signature``: ``signature.json``, an Ed25519 signature of that list
- ``reader``, ``diagnosis``: open a file, or name what is wrong with it and in which member
- ``writer``: writes a file
- ``contents``: the files of a bundle's folder that are packed; for mmkeras itself see `mmkeras.runtime.packed_code`
- ``unpacked``: members as real files in a private folder, for engines that map them

Members are stored, not compressed: weights hardly shrink, the bytes do not depend on a zlib version, and no member can
grow while it is read.
"""

from mmkeras.bundle.archive.reader import Archive
from mmkeras.bundle.archive.writer import write_archive

__all__ = ["Archive", "write_archive"]
