"""Where the gateway reads what it routes by."""
