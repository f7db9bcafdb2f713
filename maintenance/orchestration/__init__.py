"""Dagster assets, checks, jobs and schedules built from policies. The only importer of Dagster."""

import warnings

import dagster as dg

# Single-run backfills are beta in Dagster, and there is no alternative.
warnings.filterwarnings("ignore", message=".*backfill_policy.*", category=dg.BetaWarning)
