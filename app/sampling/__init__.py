"""Responses of `/samples`, `/grid` and `/walk`, in stages: parse, plan, generate, encode, respond.

`routing` and `queries` parse a request, `planning` turns it into a `RenderPlan`, the engine generates its images,
`encoders` encode them, `respond` sends the result. `cache` and `single_flight` keep stages from running twice.
"""
