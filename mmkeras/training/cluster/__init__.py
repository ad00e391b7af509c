"""Training on several devices and machines, with the results of one device."""
