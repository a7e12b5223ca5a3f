"""This room holds one program per peer: what people pick today, doing the same work."""
