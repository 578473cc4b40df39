"""Rollouts in virtual time: traffic over two versions, and the rules that judge it, ours and the peers'."""
