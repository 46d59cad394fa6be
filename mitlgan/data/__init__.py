"""Pictures in, packed datasets out."""
