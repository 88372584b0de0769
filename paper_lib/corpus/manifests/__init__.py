"""Recordings of one's own, listed in manifests: read, checked, and made into a corpus; and converters to manifests."""
