"""Cohorts: reading, checking, splitting and describing them."""
