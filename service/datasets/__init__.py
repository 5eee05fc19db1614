"""Datasets: routes, shapes, and how a body becomes one."""
