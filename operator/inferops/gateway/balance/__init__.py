"""Which replica gets a request, who waits for one, and which are not to be asked."""
