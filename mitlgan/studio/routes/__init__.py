"""The API's endpoints, one module per tab of the page."""

from mitlgan.studio.routes import docs, files, generate, jobs, morph, page, quiz, train

ROUTERS = (page.router, docs.router, generate.router, files.router, morph.router, jobs.router, train.router, quiz.router)
