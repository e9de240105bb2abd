"""Search for the constants of a tracking loop: which ones, over what, and what they are worth on sequences not seen."""
