"""The Kubernetes side: a small client, server-side apply, leader election."""
