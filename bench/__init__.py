"""subjectbench: benchmark and evaluation harness for subject-driven image generation."""

__version__ = "0.1.0"
