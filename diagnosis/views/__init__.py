"""HTTP only: what a view decides is which service to call and which page to show."""
