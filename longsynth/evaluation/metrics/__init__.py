"""The registered metrics, one file a subject; importing this package registers all of them."""
