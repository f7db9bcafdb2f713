-- proposals: the indexes as its plan asks for them, corrected only where they can't be built

CREATE INDEX idx_hypothesis_events_user_timestamp_hypothesis ON hypothesis_validation_events
    (user_id, "timestamp" DESC, hypothesis);
CREATE INDEX idx_proposal_status_customer_created ON proposals
    (status, customer_id, created_at DESC);
CREATE INDEX idx_content_search_optimization ON content
    (type, is_active, category, created_at DESC);
CREATE INDEX idx_approval_execution_status_workflow_started ON approval_executions
    (status, workflow_id, started_at DESC);
CREATE INDEX idx_validation_issues_entity_severity_status ON validation_issues
    (entity_type, severity, status, detected_at DESC);
CREATE INDEX idx_hypothesis_validation_compound ON hypothesis_validation_events
    (hypothesis, user_id, "timestamp" DESC, target_value, actual_value)
    WHERE actual_value IS NOT NULL;
CREATE INDEX idx_performance_baseline_lookup ON performance_baselines
    (hypothesis, metric_name, collection_date DESC);
