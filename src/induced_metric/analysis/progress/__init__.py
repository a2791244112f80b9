"""Where studies stand, and how busy they keep their devices, by their records."""
