"""What the pipeline of stock prices adds: walk-forward evaluation, returns after costs, and their pictures."""
