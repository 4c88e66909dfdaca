"""Whether generated images are new, or copies of the images they were learned from."""
