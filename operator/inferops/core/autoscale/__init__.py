"""How many replicas carry a service's load within its SLO: pure, from look to look."""
