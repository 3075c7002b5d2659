"""Contact sheets of what the phantoms drew."""
