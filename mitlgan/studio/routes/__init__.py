"""The API's endpoints, one module per tab of the page."""

from mitlgan.studio.routes import generate, jobs, morph, page, quiz, train

ROUTERS = (page.router, generate.router, morph.router, jobs.router, train.router, quiz.router)
