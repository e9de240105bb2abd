"""What training a family of networks differs in: forward pass, targets, losses, and what learns when."""
