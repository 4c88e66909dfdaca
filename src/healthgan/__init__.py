"""HealthGAN: do synthetic images help a rare class, by how much, and are they safe to use?"""

__version__ = "0.1.0"
