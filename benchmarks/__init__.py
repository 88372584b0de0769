"""Measurements of speed and memory, and a simulation of the book's intervals. Nothing here is a test."""
