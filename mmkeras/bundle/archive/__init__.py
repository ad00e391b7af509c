"""The packed bundle: one ``.mmk`` file, a zip that runs and tests itself on a device. Standard library only.

- ``names``: which member names are allowed, and how large a bundle may be
- ``layout``: the bytes around the members; they follow from names, sizes and checksums alone
- ``listing``: ``sha256.json``, the first member, which lists every other one
- ``signature``: ``signature.json``, an Ed25519 signature of that list
- ``reader``, ``diagnosis``: opens a file, or says what is wrong with it and in which member
- ``writer``: writes one
- ``contents``: what of a bundle's folder goes into it; of mmkeras see `mmkeras.runtime.packed_code`
- ``unpacked``: members as real files in a private folder, for engines that map them

Members are stored, not compressed: weights hardly shrink, the bytes are the same whatever zlib is there, and nothing
can grow while it is read.
"""

from mmkeras.bundle.archive.reader import Archive
from mmkeras.bundle.archive.writer import write_archive

__all__ = ["Archive", "write_archive"]
