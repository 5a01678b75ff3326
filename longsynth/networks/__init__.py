"""Pure networks: tensors in, tensors out; no data, no training, no files."""
