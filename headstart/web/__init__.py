"""Pieces of a local web server, as plain ASGI: who may ask, how much and how long, ids, running it.

`guard.Guard` checks host, origin and token; `limits.Limits` the size of a body and the time that it
takes; `logs.RequestLog` gives each request an id and a line; `running.Running` runs uvicorn. They
know nothing of what is served.
"""
