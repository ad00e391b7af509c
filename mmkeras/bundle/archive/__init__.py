"""The packed bundle: one ``.mmk`` file, a zip that runs and tests itself on a device. Standard library only.

- ``names``: allowed member names and sizes
- ``layout``: the bytes around the members, which follow from names, sizes and checksums alone
- ``listing``: ``sha256.json``, the first member, which lists all others
- ``signature``: ``signature.json``, an Ed25519 signature of that list
- ``checks``: the checks of a whole file
- ``reader``, ``writer``: open and write a file
- ``unpacked``: members as real files in a private folder, for engines that map them

Members are stored, not compressed: weights hardly shrink, the bytes do not depend on a zlib version, and no member can
grow while it is read. See `mmkeras.runtime.packing` for the files that are packed.
"""

from mmkeras.bundle.archive.reader import Archive
from mmkeras.bundle.archive.writer import write_archive

__all__ = ["Archive", "write_archive"]
