"""Fitted generators: static items first, then visits given them."""
