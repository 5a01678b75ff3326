"""The attacks: importing this package registers them all."""
