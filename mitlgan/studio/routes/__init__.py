"""The end points, tab by tab."""

from mitlgan.studio.routes import generate, page

ROUTERS = (page.router, generate.router)
