"""Cross-lingual late interaction for low-resource languages by optimal transport distillation."""

__version__ = "0.1.0"
