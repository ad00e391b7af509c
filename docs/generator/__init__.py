"""Makes the parts of the documentation's pages that follow from the code: options, help texts, measured numbers."""
