"""A small classifier of handwritten digits, whose features compare pictures of digits: its network, its shipped weights, and what trains them."""
