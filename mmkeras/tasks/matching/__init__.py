"""Two towers whose vectors are close where their inputs belong together, and a head that judges single pairs."""
