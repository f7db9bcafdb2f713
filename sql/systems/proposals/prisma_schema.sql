-- proposals: the same application's tables as Prisma makes them, with the indexes they have there
-- since: 15
-- Many stand twice: once by the model's @@index, once by a migration written by hand. Beside those
-- only what they are judged by is in here.

CREATE TABLE proposals (
    id text PRIMARY KEY,
    "tenantId" text NOT NULL,
    "customerId" text NOT NULL,
    "createdBy" text NOT NULL,
    status text NOT NULL DEFAULT 'DRAFT',
    priority text NOT NULL DEFAULT 'MEDIUM',
    value numeric(65,30),
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL,
    "dueDate" timestamp(3),
    "approvedAt" timestamp(3)
);

CREATE TABLE content (
    id text PRIMARY KEY,
    type text NOT NULL,
    "isActive" boolean NOT NULL DEFAULT true,
    category text[],
    tags text[],
    "createdBy" text NOT NULL,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL
);

CREATE TABLE proposal_products (
    id text PRIMARY KEY,
    "proposalId" text NOT NULL REFERENCES proposals (id) ON DELETE CASCADE,
    "productId" text NOT NULL,
    quantity integer NOT NULL DEFAULT 1
);

CREATE TABLE performance_baselines (
    id text PRIMARY KEY,
    hypothesis text NOT NULL,
    "metricName" text NOT NULL,
    "collectionDate" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TYPE "HypothesisType" AS ENUM ('H1', 'H3', 'H4', 'H6', 'H7', 'H8');
CREATE TYPE "ExecutionStatus" AS ENUM
    ('PENDING', 'IN_PROGRESS', 'COMPLETED', 'REJECTED', 'ESCALATED');
CREATE TYPE "Severity" AS ENUM ('INFO', 'WARNING', 'ERROR', 'CRITICAL');
CREATE TYPE "ValidationStatus" AS ENUM ('OPEN', 'RESOLVED', 'IGNORED', 'FALSE_POSITIVE');

CREATE TABLE hypothesis_validation_events (
    id text PRIMARY KEY,
    "userId" text NOT NULL,
    hypothesis "HypothesisType" NOT NULL,
    "userStoryId" text NOT NULL,
    "componentId" text NOT NULL,
    action text NOT NULL,
    "measurementData" jsonb NOT NULL,
    "targetValue" double precision NOT NULL,
    "actualValue" double precision NOT NULL,
    "performanceImprovement" double precision NOT NULL,
    "userRole" text NOT NULL,
    "sessionId" text NOT NULL,
    "testCaseId" text,
    "timestamp" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE approval_executions (
    id text PRIMARY KEY,
    "workflowId" text NOT NULL,
    "entityId" text NOT NULL,
    "currentStage" text,
    status "ExecutionStatus" NOT NULL DEFAULT 'PENDING',
    "startedAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "completedAt" timestamp(3),
    "slaCompliance" boolean,
    "proposalId" text REFERENCES proposals (id) ON DELETE CASCADE
);

CREATE TABLE validation_issues (
    id text PRIMARY KEY,
    "entityType" text NOT NULL,
    severity "Severity" NOT NULL,
    status "ValidationStatus" NOT NULL DEFAULT 'OPEN',
    "detectedAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "resolvedAt" timestamp(3),
    "proposalId" text REFERENCES proposals (id) ON DELETE CASCADE,
    "ruleId" text
);

CREATE TABLE "AuditLog" (
    id text PRIMARY KEY,
    at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "actorId" text,
    model text NOT NULL,
    action text NOT NULL,
    "targetId" text,
    diff jsonb,
    ip text
);

CREATE INDEX "proposals_createdBy_idx" ON proposals ("createdBy");
CREATE INDEX idx_proposals_created_by ON proposals ("createdBy");
CREATE INDEX "proposals_customerId_status_idx" ON proposals ("customerId", status);
CREATE INDEX idx_proposals_customer_status ON proposals ("customerId", status);
CREATE INDEX "proposals_createdAt_idx" ON proposals ("createdAt");
CREATE INDEX idx_proposals_created_at ON proposals ("createdAt");
CREATE INDEX "proposals_updatedAt_idx" ON proposals ("updatedAt");
CREATE INDEX idx_proposals_updated_at ON proposals ("updatedAt");
CREATE INDEX "proposals_dueDate_idx" ON proposals ("dueDate");
CREATE INDEX idx_proposals_due_date ON proposals ("dueDate");
CREATE INDEX "proposals_tenantId_idx" ON proposals ("tenantId");
CREATE INDEX "proposals_tenantId_status_idx" ON proposals ("tenantId", status);
CREATE INDEX "proposals_customerId_idx" ON proposals ("customerId");
CREATE INDEX proposals_status_idx ON proposals (status);
CREATE INDEX "proposals_status_priority_idx" ON proposals (status, priority);
CREATE INDEX "content_createdBy_idx" ON content ("createdBy");
CREATE INDEX idx_content_created_by ON content ("createdBy");
CREATE INDEX "content_createdAt_idx" ON content ("createdAt");
CREATE INDEX idx_content_created_at ON content ("createdAt");
CREATE INDEX "content_updatedAt_idx" ON content ("updatedAt");
CREATE INDEX idx_content_updated_at ON content ("updatedAt");
CREATE INDEX content_category_idx ON content (category);
CREATE INDEX idx_content_category ON content (category);
CREATE INDEX content_type_idx ON content (type);
CREATE INDEX "content_type_isActive_idx" ON content (type, "isActive");
CREATE INDEX "proposal_products_proposalId_idx" ON proposal_products ("proposalId");
CREATE INDEX "proposal_products_productId_idx" ON proposal_products ("productId");
CREATE INDEX idx_proposal_products_product_id ON proposal_products ("productId");
CREATE INDEX "performance_baselines_hypothesis_metricName_idx" ON performance_baselines
    (hypothesis, "metricName");
CREATE UNIQUE INDEX "performance_baselines_hypothesis_metricName_collectionDate_key"
    ON performance_baselines (hypothesis, "metricName", "collectionDate");
