"""What came of simulated runs: as a table, a chart of characters, JSON, and a page of HTML with plots."""
