-- proposals: the indexes and constraints that its analytics, search and approval workflows need
-- since: 15
-- The index of the materialized view is unique and comes with the view (matviews in the policy):
-- without it the view can't be refreshed concurrently.

-- wave: 1
-- serves: events_of_a_user
CREATE INDEX idx_hypothesis_events_user_timestamp_hypothesis
    ON public.hypothesis_validation_events (user_id, "timestamp" DESC, hypothesis);

-- A query by customer alone can't use it before PostgreSQL 18.
-- wave: 1
-- serves: proposals_of_a_customer
CREATE INDEX idx_proposal_status_customer_created ON public.proposals
    (status, customer_id, created_at DESC);

-- wave: 1
-- serves: content_search
CREATE INDEX idx_content_search_optimization ON public.content
    (type, is_active, category, created_at DESC);

-- wave: 1
-- serves: executions_of_a_workflow
CREATE INDEX idx_approval_execution_status_workflow_started ON public.approval_executions
    (status, workflow_id, started_at DESC);

-- wave: 1
-- serves: open_issues
CREATE INDEX idx_validation_issues_entity_severity_status ON public.validation_issues
    (entity_type, severity, status, detected_at DESC);

-- wave: 2
-- serves: results_of_a_hypothesis
CREATE INDEX idx_hypothesis_validation_compound ON public.hypothesis_validation_events
    (hypothesis, user_id, "timestamp" DESC, target_value, actual_value)
    WHERE actual_value IS NOT NULL;

-- wave: 2
-- serves: newest_baseline
CREATE INDEX idx_performance_baseline_lookup ON public.performance_baselines
    (hypothesis, metric_name, collection_date DESC);

-- A CHECK lets null pass: a quantity can't be null, an improvement that was not measured can.
-- wave: 3
ALTER TABLE public.proposals
    ADD CONSTRAINT check_value_positive CHECK (value IS NULL OR value >= 0);

-- wave: 3
ALTER TABLE public.proposal_products ADD CONSTRAINT check_quantity_positive CHECK (quantity > 0);

-- wave: 3
ALTER TABLE public.hypothesis_validation_events ADD CONSTRAINT check_improvement_range
    CHECK (performance_improvement >= -100 AND performance_improvement <= 1000);
