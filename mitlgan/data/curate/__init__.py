"""What is in a set, and which of its pictures are used."""
