"""From a request for pictures to its answer: what `/samples`, `/grid` and `/walk` have in common.

A route brings a query and makes an `Order` of it; tags, headers, admission and painting are the same for all.
"""
