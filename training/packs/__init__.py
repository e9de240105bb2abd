"""Packs: object-centred crops of any data set in one LMDB file, made, read and checked."""
