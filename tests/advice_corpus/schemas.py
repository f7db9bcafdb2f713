"""All schemas of the corpus."""

from tests.advice_corpus import (
    audit,
    event_store,
    forum,
    job_queue,
    places,
    prisma,
    rails,
    shop,
    tenants,
)

SCHEMAS = tuple(
    module.SCHEMA
    for module in (
        audit,
        event_store,
        forum,
        job_queue,
        places,
        prisma,
        rails,
        shop,
        tenants,
    )
)
