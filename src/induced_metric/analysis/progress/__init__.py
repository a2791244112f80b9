"""How far studies have come and how busy they keep their devices, according to their records."""
