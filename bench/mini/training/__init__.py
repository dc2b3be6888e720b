"""How the mini world's own networks are trained. Imports torch; the harness does not import it."""
