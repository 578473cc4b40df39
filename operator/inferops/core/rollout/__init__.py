"""Rollouts: a pure state machine that brings up a new revision, gives it requests step by step, and takes them back."""
