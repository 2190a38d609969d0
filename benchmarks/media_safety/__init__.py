"""Classifiers of pictures, sounds and films: what they find and what they alarm for."""
