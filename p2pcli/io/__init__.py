"""Doors to files: decoding, encoding, listing, datasets and video."""
