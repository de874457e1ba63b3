"""A search service and a page to try it.

Sources, Limits -> Service (loads Systems in its WorkPool) -> create_app -> serve
"""

from optical_ir.serving.app import create_app
from optical_ir.serving.server import TOKEN_VARIABLE, read_token, serve
from optical_ir.serving.service import Service
from optical_ir.serving.settings import SYSTEMS, Limits, Sources, parse_pairs

__all__ = [
    "SYSTEMS",
    "TOKEN_VARIABLE",
    "Limits",
    "Service",
    "Sources",
    "create_app",
    "parse_pairs",
    "read_token",
    "serve",
]
