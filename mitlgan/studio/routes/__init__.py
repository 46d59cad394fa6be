"""The end points, tab by tab."""

from mitlgan.studio.routes import generate, morph, page, quiz, train

ROUTERS = (page.router, generate.router, morph.router, train.router, quiz.router)
