"""What is left under floods and faults, and how soon a revoked right ends."""
