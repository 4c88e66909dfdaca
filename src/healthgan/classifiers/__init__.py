"""Networks that tell the rare class from the reference, and how they are trained."""
