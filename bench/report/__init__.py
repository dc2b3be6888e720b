"""A static site that shows runs side by side, with figures and tables for papers beside it."""
