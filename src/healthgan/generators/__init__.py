"""From a few images to a sampler of new ones."""
