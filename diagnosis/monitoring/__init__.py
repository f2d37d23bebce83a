"""What staff watch: how much is read and how fast, how right it is, and whether films change."""
