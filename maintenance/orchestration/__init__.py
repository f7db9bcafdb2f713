"""Assets, checks, jobs and schedules made from policies. Only this package imports Dagster."""

import warnings

import dagster as dg

# Single-run backfills are marked beta, and there is no other way to have them.
warnings.filterwarnings("ignore", message=".*backfill_policy.*", category=dg.BetaWarning)
