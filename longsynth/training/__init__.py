"""Fitting networks with Lightning: batches, cross-fitted likelihood training, adversarial rounds."""
