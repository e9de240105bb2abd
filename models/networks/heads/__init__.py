"""Classification and box heads, one file per tracker family."""
