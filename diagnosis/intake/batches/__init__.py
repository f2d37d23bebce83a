"""Batches: hundreds of films at a time, from a folder, a zip or the shell.

A file arrives (arriving), or a member of a zip does (archive, unpacking); somebody's film it becomes by the manifest,
by its tags, by the chosen patient (identity, manifest), or by a person's answer (assigning). What nobody answers is
erased in time (expiry).
"""
